import pytest
import torch

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.fingerprint import (
    FingerprintEvidence,
    agreement,
    compare_answers,
    wrong_images,
)

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
OWNER = torch.tensor([0, 2, 2, 1, 1, 0, 0, 0])  # wrong at 1, 3, 5, 7


def test_wrong_images_are_found():
    assert wrong_images(OWNER, LABELS).tolist() == [1, 3, 5, 7]
    assert wrong_images(LABELS, LABELS).tolist() == []


def test_agreement_is_counted_on_the_owners_mistakes_alone():
    suspect = torch.tensor([1, 2, 0, 1, 0, 2, 1, 0])  # disagrees on every image that the owner gets right
    other = torch.tensor([0, 1, 2, 1, 1, 2, 0, 1])
    another = OWNER.clone()

    found = agreement(OWNER, suspect, LABELS, independent_predictions=[other, another])

    assert found == FingerprintEvidence(count=4, agreed=3, rate=0.75, independent_rates=(0.25, 1.0))


def test_being_right_where_the_owner_is_wrong_is_no_agreement():
    assert agreement(OWNER, LABELS, LABELS) == FingerprintEvidence(4, 0, 0.0, ())


def test_a_model_without_mistakes_has_no_fingerprint():
    found = agreement(LABELS, OWNER, LABELS, independent_predictions=[OWNER])

    assert found == FingerprintEvidence(0, 0, None, ())


@pytest.mark.parametrize("bad", [LABELS[:5], LABELS.int(), LABELS.float(), LABELS[:, None]])
def test_predictions_that_do_not_fit_the_labels_are_refused(bad):
    words = r"must be int64 of shape \(8,\), one class for each label"
    with pytest.raises(OwnershipError, match=words):
        agreement(bad, OWNER, LABELS)
    with pytest.raises(OwnershipError, match=words):
        agreement(OWNER, bad, LABELS)
    with pytest.raises(OwnershipError, match=words):
        agreement(OWNER, OWNER, LABELS, independent_predictions=[bad])


def test_a_verification_keeps_its_verdict_and_gains_a_note_about_the_mistakes() -> None:
    images = ImageSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 2, 2]))
    found = compare_answers(
        {"verdict": "not shown", "checks": []},
        lambda _: torch.tensor([0, 2, 1, 0]),  # three mistakes
        lambda _: torch.tensor([1, 2, 1, 2]),  # two of them again, and one of its own
        images,
    )
    assert found["verdict"] == "not shown"
    assert found["fingerprint"] == {"count": 3, "agreed": 2, "rate": 2 / 3}
    (check,) = found["checks"]
    assert check["passed"] is None
