import math

import pandas as pd
import pytest

from lottery_pipeline.reporting.sweeps import differences
from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.differences import compare_cells, list_families
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from lottery_pipeline.statistics.multiple_tests import holm
from tests.reference.sweep_naive import compare, list_cells
from tests.sweep_files import make_point, make_row, make_study, make_sweep


def tabulate(*given):
    """A table of points (axes, row)."""
    points = [make_point(f"p{place:03}", **axes) for place, (axes, _) in enumerate(given)]
    return tabulate_points(
        make_sweep(points, [{"state": "done", "rows": [row]} for _, row in given])["points"]
    )


def of(method, scores, *, seeds=None, **axes):
    """A point for each score of a method."""
    return [
        ({"pipelines": method, "seed": seed, **axes}, make_row(method=method, seed=seed, test_accuracy=score))
        for seed, score in zip(seeds or range(len(scores)), scores, strict=True)
    ]


def test_methods_are_compared_over_the_seeds_that_both_have():
    # Paired differences 0.01, 0.02, 0.03: mean 0.02, t = 0.02 / (0.01 / sqrt 3) = 3.4641, p = 0.0742.
    table = compare_cells(
        tabulate(
            *of("snip", [0.90, 0.90, 0.90, 0.10], seeds=[0, 1, 2, 7], density=0.018),
            *of("cts", [0.91, 0.92, 0.93, 0.99], seeds=[0, 1, 2, 9], density=0.018),
        )
    )
    (row,) = table.to_dict("records")
    assert (row["over"], row["first"], row["second"], row["n"], row["density"]) == (
        "method",
        "cts",
        "snip",
        3,
        0.018,
    )
    assert row["difference"] == pytest.approx(0.02)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((-0.00484, 0.04484), abs=1e-5)
    assert (row["p"], row["p_holm"]) == pytest.approx((0.0742, 0.0742), abs=1e-4)
    assert row["verdict"] == "undecided"


@pytest.mark.parametrize(("sign", "verdict"), [(1, "first"), (-1, "second")])
def test_a_verdict_names_the_more_accurate_side(sign, verdict):
    scores = [0.9 + sign * gain for gain in (0.05, 0.051, 0.049, 0.05)]
    table = compare_cells(tabulate(*of("ltr", scores), *of("cts", [0.9] * 4)))
    assert table["verdict"].tolist() == [verdict]


def test_the_naive_twin_agrees():
    points = make_sweep(*make_study(seeds=4, start=("rewind", "init"), ladder=False))["points"]
    table = compare_cells(tabulate_points(points))
    naive = {
        (method, axes["density"], axes["start"]): seeds
        for (_, method, axes), seeds in (
            ((experiment, method, dict(axes)), seeds)
            for (experiment, method, axes), seeds in list_cells(points).items()
        )
    }
    methods = table[table["over"] == "method"]
    assert len(methods) == 6 * 4 * 2
    for row in methods.to_dict("records"):
        place = row["density"], row["axis_start"]
        n, interval, p = compare(naive[row["first"], *place], naive[row["second"], *place])
        assert (row["n"], row["p"]) == (n, pytest.approx(p))
        assert (row["difference"], row["difference_low"]) == pytest.approx((interval.mean, interval.low))
    starts = table[table["over"] == "start"]
    assert len(starts) == 4 * 4
    for row in starts.to_dict("records"):
        ours, theirs = (naive[row["method"], row["density"], row[side]] for side in ("first", "second"))
        assert row["p"] == pytest.approx(compare(ours, theirs)[2])
    for _, family in table.groupby("over"):
        assert family["p_holm"].tolist() == pytest.approx(holm(family["p"].tolist()))


def test_the_order_of_the_points_does_not_matter():
    points = make_sweep(*make_study(seeds=3, densities=(0.2, 0.018), start=("rewind", "init")))["points"]
    first, second = (compare_cells(tabulate_points(order)) for order in (points, points[::-1]))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_methods_of_different_densities_experiments_or_starts_do_not_compare():
    table = compare_cells(
        tabulate(
            *of("ltr", [0.9, 0.8], density=0.2),
            *of("cts", [0.9, 0.8], density=0.1),
            *of("snip", [0.9, 0.8], density=0.2, start="init"),
            *of("grasp", [0.9, 0.8], density=0.2, start="rewind"),
            ({"pipelines": "layer", "seed": 0}, make_row(method="layer", kept=5000, density=0.5)),
        )
    )
    pairs = set(zip(table["first"], table["second"], strict=True))
    assert pairs == {("ltr", "snip"), ("ltr", "grasp")}, "an axis that only one of two has does not part them"


def test_a_rung_stands_in_for_a_ticket_of_a_density_that_was_asked_for():
    def rung(seed, kept):
        return {"kind": "rung", "method": "ltr", "rung": 1, "kept": kept, "test_accuracy": 0.9 + seed / 100}

    points, files = [], []
    for seed in (0, 1):
        points += [
            make_point(f"l{seed}", density=0.018, seed=seed),
            make_point(f"c{seed}", density=0.0512, seed=seed),
        ]
        rows = [make_row(method="ltr", seed=seed), rung(seed, 512), rung(seed, 777)]
        files += [{"rows": rows}, {"rows": [make_row(seed=seed, kept=512, test_accuracy=0.89 + seed / 90)]}]
    table = compare_cells(tabulate_points(make_sweep(points, files)["points"]))
    (row,) = table.to_dict("records")
    assert (row["first"], row["first_kind"], row["second"], row["second_kind"]) == (
        "ltr",
        "rung",
        "cts",
        "ticket",
    )
    assert (row["n"], row["density"]) == (2, 0.0512)


def test_one_seed_has_a_difference_but_neither_interval_nor_verdict():
    (row,) = compare_cells(tabulate(*of("ltr", [0.95]), *of("cts", [0.90]))).to_dict("records")
    assert (row["n"], row["difference"], row["verdict"]) == (1, pytest.approx(0.05), "undecided")
    assert all(math.isnan(row[name]) for name in ("difference_low", "p", "p_holm"))


def test_no_common_seed_is_said_and_not_dropped():
    table = tabulate(*of("ltr", [0.95, 0.94]), *of("cts", [0.9, 0.9], seeds=[5, 6]))
    (row,) = compare_cells(table).to_dict("records")
    assert (row["n"], math.isnan(row["difference"]), row["verdict"]) == (0, True, "undecided")


def test_equal_results_are_undecided_without_a_test():
    (row,) = compare_cells(tabulate(*of("ltr", [0.95, 0.94]), *of("cts", [0.95, 0.94]))).to_dict("records")
    assert (row["difference"], row["verdict"], math.isnan(row["p"])) == (0.0, "undecided", True)


def test_a_family_of_too_many_pairs_is_left_out_whole(monkeypatch):
    monkeypatch.setattr(differences, "MOST_PAIRS", 2)
    rows = tabulate(
        *of("ltr", [0.9, 0.8], start="a"),
        *of("ltr", [0.9, 0.8], start="b"),
        *of("cts", [0.9, 0.8]),
        *of("snip", [0.9, 0.8]),
    )
    families = {family.over: family.pairs for family in list_families(summarise_cells(rows))}
    assert families["method"] is None
    assert len(families["start"]) == 1
    assert compare_cells(rows)["over"].tolist() == ["start"]


def test_a_family_that_would_take_minutes_to_find_is_left_out_whole(monkeypatch):
    monkeypatch.setattr(differences, "MOST_TRIED", 1)
    rows = tabulate(*of("ltr", [0.9]), *of("cts", [0.9]), *of("snip", [0.9]))
    assert [family.pairs for family in list_families(summarise_cells(rows))] == [None]


def test_many_values_of_an_axis_are_paired_value_by_value(monkeypatch):
    monkeypatch.setattr(differences, "MOST_TRIED", 30)
    points = [of(method, [0.9, 0.8], lr=lr) for method in ("ltr", "cts") for lr in range(1, 9)]
    table = compare_cells(tabulate(*(point for both in points for point in both)))
    assert table.groupby("over").size().to_dict() == {"method": 8}, "56 pairs of values are too many here"


def test_nothing_to_compare_makes_an_empty_table_with_its_columns():
    table = compare_cells(tabulate(*of("ltr", [0.9, 0.8])))
    assert table.empty
    assert {"over", "first", "p_holm", "verdict"} <= set(table.columns)


def test_a_rung_is_compared_with_a_ticket_whose_density_is_no_axis():
    points, files = [], []
    for seed in (0, 1):
        rung = {"kind": "rung", "method": "ltr", "rung": 1, "kept": 512, "test_accuracy": 0.9 + seed / 100}
        points += [make_point(f"l{seed}", density=0.018, seed=seed), make_point(f"s{seed}", seed=seed)]
        rows = [make_row(method="ltr", seed=seed), rung]
        other = make_row(method="snip", seed=seed, kept=512, density=0.0512, test_accuracy=0.89 + seed / 90)
        files += [{"rows": rows}, {"rows": [other]}]
    (row,) = compare_cells(tabulate_points(make_sweep(points, files)["points"])).to_dict("records")
    assert (row["first_kind"], row["second"], row["density"], row["n"]) == ("rung", "snip", 0.0512, 2)
