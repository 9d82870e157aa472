"""The order of the rows, and what they cost."""

import pytest

from benchmarks.published.plan import (
    LADDERS,
    Row,
    choose_method,
    count_epochs,
    find_need,
    list_rungs,
    order_rows,
)
from benchmarks.published.settings import SETTINGS

PUBLISHED = SETTINGS["published"]
ROWS = order_rows(PUBLISHED)


def test_the_rows_that_are_worth_most_come_first() -> None:
    assert [row.name for row in ROWS[:16]] == [
        "dense_00_seed0",
        "cts_kl_22_seed0",
        "random_erk_22_seed0",
        "snip_22_seed0",
        "cts_l_22_seed0",
        "cts_kl_shuffled_22_seed0",
        *(f"ltr_every_4th_{rung:02d}_seed0" for rung in (2, 6, 10, 14, 18, 22)),
        *("dense_00_seed1", "cts_kl_22_seed1", "dense_00_seed2", "cts_kl_22_seed2"),
    ]
    assert {row.method for row in ROWS[-78:]} == {"ltr"}, "every rung of three seeds, at the very end"


@pytest.mark.parametrize("name", ["published", "smallest"])
def test_every_row_is_there_once_and_behind_what_it_needs(name: str) -> None:
    rows = order_rows(SETTINGS[name])
    assert len(rows) == len(set(rows)) == {"published": 222, "smallest": 50}[name]
    for place, row in enumerate(rows):
        need = find_need(SETTINGS[name], row)
        assert need is None or need in rows[:place], row


def test_a_variant_changes_one_thing_and_has_the_headline_alone() -> None:
    for name in SETTINGS.keys() - {"published", "smallest"}:
        variant = SETTINGS[name]
        assert variant != PUBLISHED
        assert {row.rung for row in order_rows(variant) if row.method not in ("dense", *LADDERS)} == {22}
        assert order_rows(variant)[:2] == ROWS[:2]
    assert choose_method(SETTINGS["standard_gates"], Row("cts_kl", 0, 22))[1].concrete_form == "standard"


def test_both_ladders_pass_the_rungs_that_are_compared() -> None:
    assert list_rungs(PUBLISHED, "ltr_every_4th") == [2, 6, 10, 14, 18, 22, 26]
    assert list_rungs(PUBLISHED, "ltr") == list(range(1, 27))
    assert find_need(PUBLISHED, Row("ltr_every_4th", 1, 22)) == Row("ltr_every_4th", 1, 18)
    assert find_need(PUBLISHED, Row("ltr_every_4th", 1, 2)) == Row("dense", 1, 0)


def test_the_epochs_are_those_of_the_published_ratio() -> None:
    search = count_epochs(PUBLISHED, Row("cts_kl", 0, 22))
    assert search == {"search": pytest.approx(80 * 4 / 3), "train": 151}
    rungs = [Row("ltr", 0, rung) for rung in range(1, 23)]
    ladder = 160 + sum(count_epochs(PUBLISHED, row)["train"] for row in rungs)
    assert ladder == 3482
    assert ladder / (9 + sum(search.values())) == pytest.approx(13.06, abs=0.01)


def test_every_method_starts_from_the_rewind_point_and_keeps_the_density_of_its_rung() -> None:
    for method in ("cts_kl", "cts_l", "snip", "grasp", "synflow", "random_erk", "random_uniform"):
        name, options = choose_method(PUBLISHED, Row(method, 0, 22))
        assert (options.start, options.density) == ("rewind", pytest.approx(0.8**22)), method
        assert method.startswith(name)
    assert choose_method(PUBLISHED, Row("cts_l", 0, 22))[1].objective == "task_loss"
