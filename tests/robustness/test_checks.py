"""Checks of the evaluation itself, in sentences."""

import pytest

from lottery_pipeline.robustness.checks import describe_checks

PASSED = {
    "randomised": False,
    "looks_like_probabilities": False,
    "zero_gradient_share": 0.0,
    "not_monotone": None,
    "black_box_stronger": None,
    "unverified": 0,
    "left_out": "",
}


def test_a_sound_evaluation_passes_all_checks_that_could_be_made() -> None:
    checks = describe_checks(PASSED)
    assert [check["check"] for check in checks] == [name for name in PASSED if PASSED[name] is not None]
    assert all(check["passed"] for check in checks)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("randomised", True, "differ"),
        ("looks_like_probabilities", True, "logits"),
        ("zero_gradient_share", 0.5, "masked"),
        ("not_monotone", True, "more steps"),
        ("black_box_stronger", True, "Square"),
        ("unverified", 3, "do not count"),
        ("left_out", "APGD-T: it needs 4 classes", "APGD-T: it needs 4 classes."),
        ("autoattack_dynamic", True, "AutoAttack"),
        ("a_flag_of_a_later_version", True, "a_flag_of_a_later_version is set."),
    ],
)
def test_a_fault_is_a_sentence(name: str, value: object, word: str) -> None:
    (check,) = describe_checks({name: value})
    assert not check["passed"]
    assert word in check["sentence"]


def test_a_few_images_without_gradient_may_be_chance() -> None:
    assert describe_checks({"zero_gradient_share": 0.05})[0]["passed"]
    assert not describe_checks({"zero_gradient_share": 0.06})[0]["passed"]
