import pytest
import torch

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.fingerprint import FingerprintEvidence, agreement, wrong_images

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
