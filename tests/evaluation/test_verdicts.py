import pytest

from lottery_pipeline.evaluation.verdicts import SAME_MASK, summarise_sanity


def rows(check, differences, *, method="cts", changed=10):
    return [
        {"method": method, "check": check, "seed": seed, "difference": difference, "changed": changed}
        for seed, difference in enumerate(differences)
    ]


MUST_HURT = ("shuffle", "reinitialise", "inversion", "corrupted_data")
# Differences, and the bounds of their interval: mean -+ 4.3027 * deviation / sqrt(3).
CLEAR_DROP = [-0.05, -0.06, -0.07]  # -0.0848, -0.0352
SMALL_DROP = [-0.005, -0.006, -0.007]  # -0.0085, -0.0035
NO_DROP = [0.001, 0.0, -0.001]  # -0.0025, 0.0025
NOISE = [-0.05, 0.02, 0.0]  # -0.0996, 0.0796


@pytest.mark.parametrize("check", MUST_HURT)
@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        (CLEAR_DROP, "passes"),
        (SMALL_DROP, "passes"),
        (NO_DROP, "fails"),
        ([0.05, 0.06, 0.07], "fails"),
        (NOISE, "undecided"),
        ([-0.5], "undecided"),
    ],
)
def test_a_change_that_must_hurt_passes_only_where_the_whole_interval_is_below_0(check, differences, verdict):
    [row] = summarise_sanity(rows(check, differences))
    assert (row["verdict"], row["note"]) == (verdict, "")


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        (CLEAR_DROP, "drops"),
        (SMALL_DROP, "holds"),
        (NO_DROP, "holds"),
        (NOISE, "undecided"),
        ([0.1], "undecided"),
    ],
)
def test_half_of_the_images_hold_or_drop_by_the_margin(differences, verdict):
    [row] = summarise_sanity(rows("half_data", differences))
    assert row["verdict"] == verdict


def test_the_summary_holds_mean_and_interval():
    [row] = summarise_sanity(rows("shuffle", CLEAR_DROP))
    assert row["seeds"] == 3
    assert row["difference"] == pytest.approx(-0.06)
    assert (row["low"], row["high"]) == pytest.approx((-0.084842, -0.035158), abs=1e-6)
    assert set(row) == {"method", "check", "seeds", "difference", "low", "high", "verdict", "note"}


def test_one_seed_has_no_interval():
    [row] = summarise_sanity(rows("shuffle", [-0.5]))
    assert (row["seeds"], row["difference"], row["low"], row["high"]) == (1, -0.5, None, None)


def test_a_margin_is_an_argument():
    assert summarise_sanity(rows("half_data", CLEAR_DROP), margin=0.1)[0]["verdict"] == "holds"
    assert summarise_sanity(rows("shuffle", NOISE), margin=0.1)[0]["verdict"] == "fails"


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_search_that_does_not_look_at_the_images_fails_the_check_of_corrupted_ones(seeds):
    [row] = summarise_sanity(rows("corrupted_data", [0.0] * seeds, changed=0))
    assert (row["verdict"], row["note"]) == ("fails", SAME_MASK)
    [row] = summarise_sanity(rows("half_data", [0.0] * 3, changed=0))
    assert (row["verdict"], row["note"]) == ("holds", SAME_MASK)


def test_a_mask_that_stays_for_some_seeds_is_noted():
    mixed = rows("corrupted_data", CLEAR_DROP)
    mixed[1]["changed"] = 0
    [row] = summarise_sanity(mixed)
    assert (row["verdict"], row["note"]) == ("passes", f"{SAME_MASK} for 1 of 3 seeds")


def test_there_is_a_row_for_each_method_and_check_in_the_order_given():
    mixed = [
        *rows("shuffle", NO_DROP),
        *rows("half_data", NO_DROP),
        *rows("shuffle", NO_DROP, method="snip"),
    ]
    found = [(row["method"], row["check"], row["seeds"]) for row in summarise_sanity(mixed[::-1])]
    assert found == [("snip", "shuffle", 3), ("cts", "half_data", 3), ("cts", "shuffle", 3)]
    assert summarise_sanity([]) == []
