import math

import pandas as pd
import pytest

from lottery_pipeline.reporting.leaderboard import CONTRACT_COLUMNS
from lottery_pipeline.reporting.sweeps.rows import COLUMNS, list_axes, tabulate_points
from tests.sweep_files import make_point, make_row, make_sweep


def tabulate(*points):
    """A table of points, each with its axes and rows."""
    given = [make_point(f"p{place}", **axes) for place, (axes, _) in enumerate(points)]
    files = [{"state": "done", "rows": rows} for _, rows in points]
    return tabulate_points(make_sweep(given, files)["points"])


def test_a_row_has_its_point_its_axes_and_all_its_numbers():
    table = tabulate(({"density": 0.018, "start": "rewind", "seed": 3}, [make_row(seed=3, latency_ms_1=2.5)]))
    (row,) = table.to_dict("records")
    assert (row["point"], row["experiment"], row["variant"]) == ("p0", "base", "methods.p0")
    assert (row["axis_start"], row["axis_seed"], row["axis_density"]) == ("rewind", 3, 0.018)
    assert (row["test_accuracy"], row["latency_ms_1"], row["density_asked"]) == (0.96, 2.5, 0.018)
    assert row["accuracy_delta"] == pytest.approx(-0.01)
    assert set(CONTRACT_COLUMNS) - {"fingerprint"} <= set(table.columns)
    assert list_axes(table) == ["axis_start"]


def test_a_rung_takes_from_its_ticket_what_a_ladder_does_not_tell():
    rung = {"kind": "rung", "method": "ltr", "rung": 2, "kept": 512, "density": 0.0512, "test_accuracy": 0.98}
    ticket = make_row(method="ltr", seed=4, dense_accuracy=0.99)
    table = tabulate(({"density": 0.018, "seed": 4}, [ticket, rung]))
    row = table[table["kind"] == "rung"].iloc[0]
    assert (row["seed"], row["dense_accuracy"], row["metric"], row["prunable"]) == (
        4,
        0.99,
        "accuracy",
        10_000,
    )
    assert row["accuracy_delta"] == pytest.approx(-0.01)
    assert math.isnan(row["density_asked"]), "nothing asked for this density"
    assert math.isnan(row["search_epochs"])


def test_a_rung_that_keeps_as_many_weights_as_a_density_asked_for_belongs_to_it():
    rung = {"kind": "rung", "method": "ltr", "rung": 2, "kept": 512, "test_accuracy": 0.98}
    points = [
        ({"density": 0.018, "seed": 0}, [make_row(method="ltr"), rung, rung | {"rung": 1, "kept": 640}]),
        ({"density": 0.05125, "seed": 0}, [make_row(kept=512)]),
    ]
    table = tabulate(*points)
    rungs = table[table["kind"] == "rung"].set_index("kept")
    assert rungs.loc[512, "density_asked"] == 0.05125
    assert math.isnan(rungs.loc[640, "density_asked"])


def test_a_ticket_that_was_asked_for_no_density_has_none_unless_another_was_and_keeps_as_much():
    points = [
        ({"pipelines": "layer"}, [make_row(method="layer", kept=7000, density=0.7)]),
        ({"pipelines": "snip"}, [make_row(method="snip", kept=180)]),
        ({"pipelines": "cts", "density": 0.018}, [make_row()]),
    ]
    asked = tabulate(*points).set_index("method")["density_asked"]
    assert (asked["snip"], asked["cts"]) == (0.018, 0.018)
    assert math.isnan(asked["layer"])


def test_a_rung_also_joins_a_ticket_whose_density_is_no_axis():
    rung = {"kind": "rung", "method": "ltr", "rung": 1, "kept": 512, "density": 0.0512, "test_accuracy": 0.98}
    table = tabulate(
        ({"pipelines": "ltr", "density": 0.018}, [make_row(method="ltr"), rung]),
        ({"pipelines": "snip"}, [make_row(method="snip", kept=512, density=0.0512)]),
    )
    asked = table.set_index(["method", "kind"])["density_asked"]
    assert asked["ltr", "rung"] == 0.0512
    assert math.isnan(asked["snip", "ticket"]), "its seeds may keep different numbers"


def test_numbers_that_are_not_finite_are_missing():
    values = {"test_accuracy": float("nan"), "dense_accuracy": None, "co2_grams": float("inf")}
    table = tabulate(({}, [make_row(**values)]), ({}, [make_row(co2_grams=2.0)]))
    assert table["test_accuracy"].isna().tolist() == [True, False]
    assert table["accuracy_delta"].isna().tolist() == [True, False]
    assert table["co2_grams"].isna().tolist() == [True, False]


def test_a_column_has_one_type_whatever_its_values_are():
    rows = [make_row(a=1, b=True, c="x", d=2**70), make_row(a=2.5, b=False, c=3, d=1)]
    table = tabulate(*(({"mixed": axis}, [row]) for axis, row in zip(("full", 12), rows, strict=True)))
    assert table["a"].tolist() == [1.0, 2.5]
    assert table["b"].tolist() == [True, False]
    assert table["c"].tolist() == ["x", "3"]
    assert table["d"].tolist() == [2.0**70, 1.0]
    assert table["axis_mixed"].tolist() == ["full", "12"]


def test_no_point_makes_an_empty_table_with_its_columns():
    table = tabulate_points([])
    assert table.empty
    assert list(table.columns) == list(COLUMNS)


def test_the_order_of_the_points_does_not_matter():
    points = make_sweep(
        [make_point(key, seed=seed) for seed, key in enumerate("bca")],
        [{"rows": [make_row(seed=seed), make_row(method="snip", seed=seed)]} for seed in range(3)],
    )["points"]
    pd.testing.assert_frame_equal(tabulate_points(points), tabulate_points(points[::-1]))
