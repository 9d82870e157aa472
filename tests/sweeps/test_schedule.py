from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.sweeps.markers import read_marker
from lottery_pipeline.sweeps.plan import Plan
from lottery_pipeline.sweeps.point import Marker, Task
from lottery_pipeline.sweeps.progress import Progress
from lottery_pipeline.sweeps.schedule import Schedule
from tests.sweeps.points import compute, make_instant_plan, read_tries


class Inline:
    """Computes points in threads of this process."""

    where = "threads"

    def __init__(self, slots: int = 1) -> None:
        self.slots, self.most, self._now = slots, 0, 0
        self._pool = ThreadPoolExecutor(slots)

    def submit(self, task: Task) -> Future[Marker]:
        self._now += 1
        self.most = max(self.most, self._now)
        future = self._pool.submit(self._compute, task)
        future.add_done_callback(lambda _: setattr(self, "_now", self._now - 1))
        return future

    def close(self, *, kill: bool = False) -> None:
        self._pool.shutdown(cancel_futures=kill)

    def _compute(self, task: Task) -> Marker:
        if "dies" in task.point.key:
            raise ConnectionError("the node is gone")
        return compute(task)


def run(plan: Plan, engine: Inline | None = None, **options: Any) -> Schedule:
    engine = engine or Inline()
    schedule = Schedule(plan, engine, Progress(plan, workers=1), project=Path(), **options)
    schedule.run()
    engine.close()
    return schedule


def test_what_is_shared_comes_first_and_once(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, "a1", "b1", "a2", "c1", shared="ab")
    run(plan)
    tries = read_tries(plan)
    assert sorted(tries) == ["a 1", "a1 1", "a2 1", "b 1", "b1 1", "c1 1"]
    assert tries.index("a 1") < min(tries.index("a1 1"), tries.index("a2 1"))
    assert tries.index("b 1") < tries.index("b1 1")


def test_a_point_that_fails_is_tried_again_and_stops_no_other(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, "bad", "once", "x", "dies")
    schedule = run(plan, retries=2)
    assert sorted(read_tries(plan)) == ["bad 1", "bad 2", "bad 3", "once 1", "once 2", "x 1"]
    assert schedule.failures == {
        "bad": "it is bad",
        "dies": "its process has died (ConnectionError: the node is gone)",
    }
    marker = read_marker(plan.folder_of("test", "s.dies"), plan.points[3].fingerprint)
    assert marker is not None
    assert (marker["state"], marker["attempts"]) == ("failed", 3)


def test_without_its_dense_run_a_point_fails_and_is_not_tried(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, "a1", "x", shared="a")
    bad = plan.shared[0].__class__(**{**vars(plan.shared[0]), "key": "abad"})
    plan = Plan("s", "test", "", plan.points, (bad,), tmp_path)
    schedule = run(plan, retries=0)
    assert read_tries(plan) == ["abad 1", "x 1"] or read_tries(plan) == ["x 1", "abad 1"]
    assert schedule.failures["a1"] == "its images and dense run could not be made: it is bad"


def test_a_second_start_computes_only_what_is_missing(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, "a1", "bad", "a2", shared="a")
    assert run(plan, retries=0).computed == 4
    before = read_tries(plan)
    schedule = run(plan, retries=0)
    assert read_tries(plan)[len(before) :] == ["bad 1"]
    assert schedule.computed == 1
    more = make_instant_plan(tmp_path, "a1", "a2", "a3", shared="a")
    assert run(more).computed == 1


def test_an_engine_is_given_no_more_than_it_can_use(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, *(f"x{number}" for number in range(30)))
    engine = Inline(2)
    run(plan, engine)
    assert engine.most <= 4
    assert len(read_tries(plan)) == 30


@pytest.mark.parametrize("retries", [0, 3])
def test_an_empty_plan_ends(tmp_path: Path, retries: int) -> None:
    assert run(make_instant_plan(tmp_path), retries=retries).computed == 0
