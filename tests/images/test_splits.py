import pytest
import torch

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet, assemble_splits
from tests.images.builders import make_set


def test_properties_tell_what_a_model_must_know():
    splits = assemble_splits(
        ImageSet(torch.zeros(2, 1, 4, 6, dtype=torch.uint8), torch.tensor([0, 1])),
        ImageSet(torch.zeros(0, 1, 4, 6, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)),
        ImageSet(torch.zeros(1, 1, 4, 6, dtype=torch.uint8), torch.tensor([2])),
        ["a", "b", "c"],
    )
    assert (splits.num_classes, splits.channels, splits.image_size) == (3, 1, (4, 6))


def test_the_fingerprint_changes_with_pixels_labels_and_names():
    train, other, test = make_set([0, 1], seed=1), make_set([0, 1], seed=2), make_set([1], seed=3)
    none = make_set([])
    prints = {
        assemble_splits(train, none, test, ["a", "b"]).fingerprint,
        assemble_splits(other, none, test, ["a", "b"]).fingerprint,
        assemble_splits(ImageSet(train.images, train.labels.flip(0)), none, test, ["a", "b"]).fingerprint,
        assemble_splits(train, none, test, ["a", "c"]).fingerprint,
        assemble_splits(train, test, none, ["a", "b"]).fingerprint,
    }
    assert len(prints) == 5
    assert assemble_splits(train, none, test, ["a", "b"], request="x").fingerprint in prints


def test_a_set_on_its_device_already_is_not_copied():
    part = make_set([0, 1])
    assert part.to("cpu") is part
    assert part.to("meta").labels.device.type == "meta"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64), "uint8"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"\[N, C, H, W\]"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), r"shape \[2\]"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2), "int64"),
    ],
)
def test_a_set_of_wrong_types_or_shapes_is_refused(images, labels, message):
    with pytest.raises(ImageError, match=message):
        ImageSet(images, labels)


def test_some_images_of_a_set_keep_their_labels():
    part = make_set([0, 1, 2])
    chosen = part.select(torch.tensor([2, 0]))
    assert chosen.labels.tolist() == [2, 0]
    assert torch.equal(chosen.images, part.images[[2, 0]])


def test_parts_that_do_not_fit_together_are_refused():
    with pytest.raises(ImageError, match="the same shape"):
        assemble_splits(make_set([0]), make_set([0]), make_set([0], side=5), ["a"])
    with pytest.raises(ImageError, match="test labels must be from 0 to 0"):
        assemble_splits(make_set([0]), make_set([0]), make_set([1]), ["a"])
    with pytest.raises(ImageError, match="no training images"):
        assemble_splits(make_set([]), make_set([0]), make_set([0]), ["a"])
