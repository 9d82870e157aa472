import pytest
import torch

from lottery_pipeline.robustness.adversarial_rows import (
    collect_flags,
    count_fooled,
    measure_curve,
    measure_median,
)
from lottery_pipeline.robustness.attacks import ATTACKS
from lottery_pipeline.robustness.cascade import Standing
from lottery_pipeline.statistics.proportions import wilson_interval


def standing(least: list[float], fooled_by: list[str | None] | None = None, **given: object) -> Standing:
    values = torch.tensor(least, dtype=torch.float64)
    names = fooled_by or [None] * len(least)
    places = torch.tensor([-1 if name is None else list(ATTACKS).index(name) for name in names])
    order = values.nonzero().squeeze(1)
    return Standing(values, places, order, order[:0], **given)


def test_an_image_stands_at_an_eps_below_its_own():
    rows = measure_curve(standing([0.0, 0.1, 0.2, torch.inf]), "L2", [0.0, 0.1, 0.15, 0.2], 0.9)

    assert [row["setting"] for row in rows] == ["L2", "L2 eps 0", "L2 eps 0.1", "L2 eps 0.15", "L2 eps 0.2"]
    assert [row["value"] for row in rows] == [0.75, 0.75, 0.5, 0.5, 0.25]
    assert [row["metric"] for row in rows] == ["clean_accuracy", *["robust_accuracy"] * 4]
    assert (rows[2]["low"], rows[2]["high"]) == wilson_interval(2, 4, 0.9)[1:3]
    assert {row["n"] for row in rows} == {4}


@pytest.mark.parametrize(
    ("least", "median"),
    [
        ([0.1], 0.1),
        ([0.3, 0.1, 0.2], 0.2),
        ([0.1, 0.2, torch.inf, torch.inf], 0.2),  # half of them are fooled at 0.2
        ([0.1, torch.inf, torch.inf], None),
    ],
)
def test_the_median_is_the_least_eps_at_which_half_are_fooled(least, median):
    row = measure_median(standing(least), "Linf", resamples=100, seed=0, confidence=0.9)

    assert row["value"] == median
    assert (row["setting"], row["metric"], row["n"]) == ("Linf", "median_eps", len(least))


def test_a_bound_of_the_median_beyond_all_eps_is_none():
    row = measure_median(
        standing([0.1] * 11 + [torch.inf] * 9), "Linf", resamples=500, seed=0, confidence=0.9
    )

    assert (row["value"], row["low"], row["high"]) == (0.1, 0.1, None)


def test_square_is_stronger_if_it_takes_more_than_a_share_at_one_eps():
    def flag(taken: list[float], attacks: list[str]) -> object:
        least = taken + [1.0] * (1000 - len(taken))
        by = ["square"] * len(taken) + ["pgd"] * (1000 - len(taken))
        return collect_flags(standing(least, by), attacks, {})["black_box_stronger"]

    assert flag([0.1, 0.1, 0.1], ["pgd", "square"]) is True
    assert flag([0.1, 0.1, 0.2, 0.2], ["pgd", "square"]) is False
    assert flag([], ["pgd", "square"]) is False
    # Nothing that follows gradients came first, or Square has not run.
    assert flag([0.1] * 9, ["square", "pgd"]) is None
    assert flag([], ["pgd"]) is None


def test_flags_hold_checks_warnings_and_what_was_left_out():
    found = standing(
        [1.0],
        unverified=3,
        checks={"randomised": True},
        warnings={"dynamic": True, "black_box_stronger": False},
    )

    assert collect_flags(found, ["pgd"], {"apgd-t": "it needs 4 classes"}) == {
        "randomised": True,
        "black_box_stronger": None,
        "unverified": 3,
        "left_out": "APGD-T: it needs 4 classes",
        "autoattack_dynamic": True,
    }


def test_images_are_counted_by_the_attack_that_fooled_them():
    found = standing([0.1, 0.2, torch.inf], ["pgd", "pgd", None])

    assert (count_fooled(found, "pgd"), count_fooled(found, "fgsm")) == (2, 0)
