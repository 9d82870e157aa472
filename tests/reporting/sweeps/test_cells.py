import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.reporting.sweeps.cells import drop_covered, summarise_cells
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from tests.reference.sweep_naive import list_cells, summarise
from tests.sweep_files import make_point, make_row, make_study, make_sweep


def make_points(*given):
    """Points of (axes, rows)."""
    points = [make_point(f"p{place:03}", **axes) for place, (axes, _) in enumerate(given)]
    return make_sweep(points, [{"state": "done", "rows": rows} for _, rows in given])["points"]


def over_seeds(scores, *, dense=0.97, **axes):
    """A point for each score, of one method."""
    rows = [
        make_row(seed=seed, test_accuracy=score, dense_accuracy=dense) for seed, score in enumerate(scores)
    ]
    return [(axes | {"seed": row["seed"]}, [row]) for row in rows]


def test_a_cell_by_hand():
    # 0.95 0.96 0.97: mean 0.96, deviation 0.01, half width 4.3027 * 0.01 / sqrt(3) = 0.02484.
    (cell,) = summarise_cells(tabulate_points(make_points(*over_seeds([0.95, 0.96, 0.97])))).to_dict(
        "records"
    )
    assert (cell["n"], cell["missing"]) == (3, 0)
    assert (cell["test_accuracy"], cell["test_accuracy_std"]) == pytest.approx((0.96, 0.01))
    assert (cell["test_accuracy_low"], cell["test_accuracy_high"]) == pytest.approx(
        (0.93516, 0.98484), abs=1e-5
    )
    assert (cell["difference"], cell["difference_low"]) == pytest.approx((-0.01, -0.03484), abs=1e-5)
    assert (cell["epochs"], cell["seconds"], cell["verdict"]) == (28.0, 50.0, "undecided")


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ([0.968, 0.969, 0.970], "winning"),  # at most 0.35 points below 0.97
        ([0.95, 0.951, 0.952], "worse"),  # 1.65 points at least
        ([0.96, 0.96, 0.97], "undecided"),
        ([0.99], "undecided"),  # one seed has no interval
    ],
)
def test_a_verdict_is_that_of_the_whole_interval_against_the_margin(scores, verdict):
    cells = summarise_cells(tabulate_points(make_points(*over_seeds(scores))), margin=0.01)
    assert cells["verdict"].tolist() == [verdict]


def test_the_naive_twin_agrees():
    points = make_sweep(*make_study(seeds=3, start=("rewind", "init"), experiments=("base", "cifar10")))[
        "points"
    ]
    cells = summarise_cells(tabulate_points(points))
    cells = cells[cells["kind"] == "ticket"]
    cells = cells.set_index(["experiment", "method", "density_asked", "axis_start"])
    assert cells.index.is_unique
    naive = list_cells(points)
    assert len(cells) == len(naive) == 2 * 4 * 4 * 2
    for (experiment, method, axes), by_seed in naive.items():
        named = dict(axes)
        cell = cells.loc[experiment, method, named["density"], named["start"]]
        ends = [cell[f"test_accuracy{end}"] for end in ("", "_std", "_low", "_high")]
        assert [cell["n"], *ends] == pytest.approx(summarise(by_seed, "test_accuracy"))
        ends = [cell[f"difference{end}"] for end in ("", "_std", "_low", "_high")]
        assert [cell["n"], *ends] == pytest.approx(summarise(by_seed, "accuracy_delta"))


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(generator):
    points = make_sweep(*make_study(seeds=2, densities=(0.2, 0.018)))["points"]
    shuffled = list(points)
    generator.shuffle(shuffled)
    first, second = (summarise_cells(tabulate_points(order)) for order in (points, shuffled))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_seed_counts_once_however_often_its_rung_was_made():
    rung = {"kind": "rung", "method": "ltr", "rung": 1, "kept": 512, "density": 0.0512, "test_accuracy": 0.98}
    points = make_points(
        *(
            ({"density": density, "seed": seed}, [make_row(method="ltr", seed=seed, kept=kept), rung])
            for density, kept in ((0.018, 180), (0.0074, 74))
            for seed in (0, 1)
        )
    )
    cells = summarise_cells(tabulate_points(points))
    assert cells.loc[cells["kind"] == "rung", "n"].tolist() == [2]
    assert cells.loc[cells["kind"] == "ticket", "n"].tolist() == [2, 2]


def test_a_rung_is_covered_by_a_ticket_of_its_method_with_as_many_weights():
    rungs = [
        {
            "kind": "rung",
            "method": "ltr",
            "rung": rung,
            "kept": kept,
            "density": kept / 1e4,
            "test_accuracy": 0.98,
        }
        for rung, kept in ((0, 10_000), (1, 512))
    ]
    points = make_points(
        ({"density": 0.018, "seed": 0}, [make_row(method="ltr"), *rungs]),
        ({"density": 0.0512, "seed": 0}, [make_row(method="ltr", kept=512, density=0.0512)]),
    )
    cells = summarise_cells(tabulate_points(points))
    assert len(cells) == 4
    left = drop_covered(cells)
    assert left[["kind", "kept"]].to_numpy().tolist() == [["rung", 10_000], ["ticket", 512], ["ticket", 180]]


def test_what_keeps_a_different_number_in_every_seed_is_one_cell():
    rows = [
        make_row(method="filter", kept=kept, density=kept / 1e4, seed=seed)
        for seed, kept in ((0, 700), (1, 720))
    ]
    (cell,) = summarise_cells(
        tabulate_points(make_points(*(({"pipelines": "layer", "seed": row["seed"]}, [row]) for row in rows)))
    ).to_dict("records")
    assert (cell["n"], cell["density"], cell["kept_varies"]) == (2, pytest.approx(0.071), True)


def test_a_seed_without_a_score_is_counted_as_missing():
    points = make_points(*over_seeds([0.95, float("nan"), 0.97]))
    (cell,) = summarise_cells(tabulate_points(points)).to_dict("records")
    assert (cell["n"], cell["missing"], cell["test_accuracy"]) == (2, 1, pytest.approx(0.96))
    (cell,) = summarise_cells(tabulate_points(make_points(*over_seeds([float("nan")])))).to_dict("records")
    assert (cell["n"], cell["missing"], math.isnan(cell["test_accuracy"])) == (0, 1, True)
    assert cell["verdict"] == "undecided"


def test_a_front_is_found_within_each_experiment_and_without_covered_rungs():
    def point(experiment, method, score, epochs):
        row = make_row(method=method, test_accuracy=score, search_epochs=epochs, train_epochs=0.0)
        return make_point(f"{experiment}-{method}", experiment, pipelines=method), {
            "state": "done",
            "rows": [row],
        }

    made = [point("a", "ltr", 0.97, 90.0), point("a", "cts", 0.96, 20.0), point("a", "snip", 0.95, 30.0)]
    made.append(point("b", "snip", 0.5, 30.0))
    cells = summarise_cells(tabulate_points(make_sweep(*map(list, zip(*made, strict=True)))["points"]))
    fronts = cells.set_index(["experiment", "method"])
    assert fronts["on_cost_front"].to_dict() == {
        ("a", "ltr"): True,
        ("a", "cts"): True,
        ("a", "snip"): False,
        ("b", "snip"): True,
    }
    assert fronts["on_density_front"].sum() == 2, "all keep as much, so the best of each experiment"


def test_no_row_makes_no_cell():
    cells = summarise_cells(tabulate_points([]))
    assert cells.empty
    assert {"verdict", "difference_low", "on_cost_front"} <= set(cells.columns)
