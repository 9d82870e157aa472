"""A plan that many tests look at."""

from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from lottery_pipeline.sweeps.plan import Plan, Planner
from lottery_pipeline.sweeps.request import read_request
from tests.kedro_project import ROOT

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Plan a grid in experiment ``test``; its results would lie in a folder of the test."""
    monkeypatch.setenv("LOTTERY_DATA_ROOT", str(tmp_path / "data"))
    bootstrap_project(ROOT)
    planner = Planner(ROOT, dict(pipelines))

    def plan(*grids: dict[str, object], name: str = "s", **request: object) -> Plan:
        return planner.plan(name, read_request(name, {"grid": list(grids), **request}), "test")

    return plan
