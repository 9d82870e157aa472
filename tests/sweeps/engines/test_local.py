import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from lottery_pipeline.sweeps.engines import share_cores
from lottery_pipeline.sweeps.engines.local import LocalEngine
from lottery_pipeline.sweeps.schedule import make_task
from tests.sweeps.points import compute, make_instant_plan


def test_a_worker_that_dies_costs_one_point_and_no_other(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, "a", "dies", "b")
    engine = LocalEngine(1, work=compute, environment=[{"SWEEP_TEST": "7"}])
    try:
        first, dead, last = [engine.submit(make_task(plan, point, tmp_path)) for point in plan.points]
        assert first.result()["variable"] == "7"
        with pytest.raises(BrokenProcessPool):
            dead.result()
        assert last.result()["pid"] not in (first.result()["pid"], os.getpid())
    finally:
        engine.close()


def test_a_worker_is_replaced_after_its_share_of_points(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, "a", "b", "c")
    engine = LocalEngine(1, work=compute, points_per_worker=2)
    try:
        pids = [engine.submit(make_task(plan, point, tmp_path)).result()["pid"] for point in plan.points]
    finally:
        engine.close()
    assert pids[0] == pids[1] != pids[2]


def test_workers_share_the_cores() -> None:
    assert share_cores(2, 8)["OMP_NUM_THREADS"] == "4"
    assert share_cores(3, 2)["OMP_NUM_THREADS"] == "1"
