"""The sweeps that the project ships: each can be planned on a machine without the images."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from lottery_pipeline.options import METHODS
from lottery_pipeline.sweeps.grid import Place, expand
from lottery_pipeline.sweeps.plan import Planner
from lottery_pipeline.sweeps.request import SweepRequest
from lottery_pipeline.sweeps.sweep import choose_request
from tests.kedro_project import ROOT

EXPERIMENTS = sorted(path.parent.name for path in (ROOT / "conf").glob("*/sweep.yml"))
NOTHING_GIVEN = dict.fromkeys(("grid", "params", "engine", "address", "workers", "retries", "tracking"))
LONG_AXES = ("seed", "extraction.density", "layer.extraction.removed")


@pytest.fixture(scope="module")
def planner() -> Planner:
    bootstrap_project(ROOT)
    return Planner(ROOT, dict(pipelines))


def list_sweeps(experiment: str) -> list[str]:
    """Return what an experiment names itself; it also has the sweeps of base."""
    named = yaml.safe_load((ROOT / "conf" / experiment / "sweep.yml").read_text(encoding="utf-8"))
    return [name for name in named if not name.startswith("_")]


def read_sweep(planner: Planner, experiment: str, name: str) -> SweepRequest:
    return choose_request(planner, experiment, name, NOTHING_GIVEN, read_grid=lambda *_: {})[1]


def shorten(grid: dict[str, Any]) -> dict[str, Any]:
    """Return a grid with the first value alone of axes whose values are all alike."""
    return {
        axis: values[:1] if axis in LONG_AXES and isinstance(values, list) else values
        for axis, values in grid.items()
    }


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_sweep_has_a_title_and_can_be_planned_without_its_images(
    planner: Planner, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lottery_pipeline.images.preparation.prepare_images", pytest.fail)
    for name in list_sweeps(experiment):
        request = read_sweep(planner, experiment, name)
        short = request.model_copy(update={"grid": tuple(shorten(grid) for grid in request.grid)})
        plan = planner.plan(name, short, experiment)
        assert plan.title
        assert all(point.shared for point in plan.points)
        assert not plan.path.exists()


def list_places(planner: Planner, experiment: str, name: str) -> list[Place]:
    request = read_sweep(planner, experiment, name)
    return expand(request, experiment, {method: [method] for method in METHODS})


# The numbers of the hand-made grids that these were before.
@pytest.mark.parametrize(
    ("experiment", "name", "points"),
    [
        ("cts_study", "equal_starts", 5 * 9),
        ("cts_study", "densities", 3 * (9 * 5 * 2 + 2)),
        ("cts_study", "rewind_points", 3 * 4 * 5),
        ("cts_study", "augmented", 3 * (9 * 2 + 2)),
        ("layer_study", "layer_tickets", 3 * (37 + 42)),
        ("layer_study", "digits", 3 * 16),
    ],
)
def test_the_grids_of_the_studies_are_whole(
    planner: Planner, experiment: str, name: str, points: int
) -> None:
    assert len(list_places(planner, experiment, name)) == points


def test_the_ladders_of_the_study_have_the_densities_of_the_other_methods_as_rungs(planner: Planner) -> None:
    axes = [place.axes for place in list_places(planner, "cts_study", "densities")]
    asked = {place["density"] for place in axes if "density" in place}
    assert asked == {round(0.8**rung, 12) for rung in (6, 14, 18, 22, 26)}
    assert {place["rounds"] for place in axes if place["pipelines"] in ("lth", "ltr")} == {26}
