"""Checks of the evaluation itself, in sentences: what fails is printed beside the numbers."""

from collections.abc import Mapping
from typing import Any

# Share of images without any gradient that may be chance: a sure network's loss can be 0 in float32.
_ZERO_GRADIENTS_ALLOWED = 0.05

# By flag of ``measure_adversarial``: what it means if it is set.
_SENTENCES = {
    "randomised": "Two passes over the same image differ, so the gradients change under the attacks.",
    "looks_like_probabilities": (
        "The outputs look like probabilities. Attacks need logits, so the robust accuracy is too high."
    ),
    "zero_gradient_share": (
        "The loss of some images does not change with any pixel: gradients are masked, and attacks that "
        "follow them are too weak."
    ),
    "not_monotone": "PGD with more steps fooled fewer images than with half of them.",
    "black_box_stronger": (
        "Square, which needs no gradients, fooled images that attacks with gradients had not: gradients are "
        "masked."
    ),
    "unverified": "An attack claimed images that had left the ball; they do not count.",
    "left_out": "Some attacks could not run here, so the robust accuracy may be too high.",
    "autoattack_randomised": "AutoAttack found answers that change from pass to pass.",
    "autoattack_looks_like_probabilities": "AutoAttack found outputs that look like probabilities.",
    "autoattack_zero_gradients": "AutoAttack found gradients that are zero.",
    "autoattack_dynamic": "AutoAttack found a network that seems to change while it is attacked.",
    "autoattack_black_box_stronger": "AutoAttack found Square stronger than its attacks with gradients.",
}


def describe_checks(flags: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Judge the flags of ``measure_adversarial``.

    Args:
        flags: by name; None if a check could not be made. Then it is left out.

    Returns:
        For each check its name, the value, whether it is passed, and the sentence that holds if it is not.
    """
    return [
        {
            "check": name,
            "value": value,
            "passed": _is_passed(name, value),
            "sentence": _describe(name, value),
        }
        for name, value in flags.items()
        if value is not None
    ]


def _is_passed(name: str, value: Any) -> bool:
    return value <= _ZERO_GRADIENTS_ALLOWED if name == "zero_gradient_share" else not value


def _describe(name: str, value: Any) -> str:
    sentence = _SENTENCES.get(name, f"{name} is set.")
    return f"{sentence} {value}." if name == "left_out" and value else sentence
