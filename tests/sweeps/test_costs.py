from typing import Any

import pytest

from lottery_pipeline.methods.cts.objectives import OBJECTIVES
from lottery_pipeline.options import OBJECTIVE_PASSES
from lottery_pipeline.sweeps.costs import plan_epochs
from tests.sweeps.conftest import MakePlan


@pytest.mark.parametrize(
    ("grid", "search", "train"),
    [
        # Experiment test: 3 epochs, theta_k after 1, rate 0.5; ltr trains two controls, lth one.
        ({"pipelines": "ltr", "extraction.density": 0.25}, 4, 6),
        ({"pipelines": "lth", "extraction.density": 0.25}, 6, 6),
        ({"pipelines": "lth", "extraction.density": 1.0}, 0, 6),
        ({"pipelines": "lth", "extraction.density": 0.25, "lth.extraction.one_shot": True}, 3, 6),
        ({"pipelines": "cts", "cts.extraction.length": 2}, 2 * 4 / 3, 2),
        (
            {"pipelines": "cts", "cts.extraction.objective": "task_loss", "cts.extraction.length": "half"},
            1.5,
            2,
        ),
        ({"pipelines": "edge_popup"}, 2, 3),
        ({"pipelines": "synflow"}, 0, 3),
        ({"pipelines": "snip", "extraction.start": "rewind"}, 0, 2),
        ({"pipelines": "snip", "retraining.epochs": 7}, 0, 7),
        ({"pipelines": "layer"}, None, 3),
        ({"pipelines": "cts", "cts.extraction.length": 2, "retraining.iterations": 9}, 2 * 4 / 3, None),
    ],
)
def test_the_cost_of_a_point_is_known_before_it_runs(
    make_plan: MakePlan, grid: dict[str, Any], search: float | None, train: float | None
) -> None:
    (point,) = make_plan(grid).points
    assert point.epochs == pytest.approx({"search": search, "train": train})


def test_every_objective_has_a_cost() -> None:
    assert set(OBJECTIVE_PASSES) == set(OBJECTIVES)


def test_a_pipeline_without_methods_costs_nothing_beyond_the_dense_run() -> None:
    parameters: dict[str, Any] = {"pretraining": {"epochs": 3, "rewind_epoch": 1}, "retraining": {}}
    assert plan_epochs([], parameters) == {"search": 0.0, "train": 0.0}
