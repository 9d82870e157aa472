"""Behaviour fingerprint: do two models make the same mistakes? Support for a claim, never the verdict.

It needs no mark, so it also says something about a model that was never signed. That is its weakness, too.
Models of the same data and recipe share many mistakes by nature, and nothing limits how far an independent
model may agree. So there is no probability of a false claim. Read the rate beside those of models that are
known to be independent, and only in addition to evidence that rests on a key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.ownership.answers import Predict
from lottery_pipeline.ownership.errors import OwnershipError


@dataclass(frozen=True)
class FingerprintEvidence:
    """How often a suspect repeats the mistakes of the owner's model.

    Attributes:
        count: images that the owner's model gets wrong.
        agreed: of these, images to which the suspect gives the same wrong answer.
        rate: agreed / count; None without mistakes.
        independent_rates: the same rate of models that are known to be independent, for comparison.
    """

    count: int
    agreed: int
    rate: float | None
    independent_rates: tuple[float, ...]


def wrong_images(predictions: Tensor, labels: Tensor) -> Tensor:
    """Return the indices of the images that a model gets wrong.

    Args:
        predictions: int64 [N], predicted classes.
        labels: int64 [N].

    Returns:
        int64 [n], ascending.

    Raises:
        OwnershipError: the two do not fit together.
    """
    _check(predictions, labels)
    return (predictions != labels).nonzero().flatten()


def agreement(
    owner_predictions: Tensor,
    suspect_predictions: Tensor,
    labels: Tensor,
    *,
    independent_predictions: Sequence[Tensor] = (),
) -> FingerprintEvidence:
    """Compare answers on the images that the owner's model gets wrong.

    Right answers are left out, because good models agree on them anyway. Queries of this kind do as well as
    more elaborate fingerprints in a systematic comparison (QuRD, arXiv 2412.13021).

    Args:
        owner_predictions: int64 [N], predicted classes.
        suspect_predictions: int64 [N].
        labels: int64 [N], best of images that neither model was trained on.
        independent_predictions: int64 [N] each, of models that are known to be independent of the owner's.

    Raises:
        OwnershipError: predictions and labels do not fit together.
    """
    wrong = wrong_images(owner_predictions, labels)
    agreed = []
    for predictions in (suspect_predictions, *independent_predictions):
        _check(predictions, labels)
        agreed.append(int((predictions[wrong] == owner_predictions[wrong]).sum()))
    count = len(wrong)
    rates = [number / count for number in agreed] if count else []
    return FingerprintEvidence(count, agreed[0], rates[0] if rates else None, tuple(rates[1:]))


def _check(predictions: Tensor, labels: Tensor) -> None:
    if predictions.dtype != torch.int64 or predictions.shape != labels.shape:
        raise OwnershipError(
            f"predictions must be int64 of shape {tuple(labels.shape)}, one class for each label, not "
            f"{predictions.dtype} of shape {tuple(predictions.shape)}"
        )


def compare_answers(
    verification: dict[str, Any], owner: Predict, suspect: Predict, images: ImageSet
) -> dict[str, Any]:
    """Add to a verification whether the suspect repeats the mistakes of the owner's network.

    Args:
        verification: from ``verify_claim``; its verdict stays.
        owner: predictions of the owner's network.
        suspect: predictions of the suspect.
        images: that neither was trained on.

    Returns:
        A copy with ``fingerprint`` and one more check, which neither passes nor fails.
    """
    found = agreement(_ask(owner, images.images), _ask(suspect, images.images), images.labels.cpu())
    says = (
        f"of the {found.count} test images that the owner's network gets wrong, the suspect answers "
        f"{found.agreed} in the same wrong way; this supports a verdict and never makes one"
    )
    check = {"check": "same mistakes", "passed": None, "says": says}
    return {
        **verification,
        "checks": [*verification["checks"], check],
        "fingerprint": {"count": found.count, "agreed": found.agreed, "rate": found.rate},
    }


def _ask(predict: Predict, images: Tensor | StoredImages) -> Tensor:
    """Return the classes of all images."""
    return predict(images) if isinstance(images, Tensor) else torch.cat([*map(predict, images.pieces())])
