import pytest
import torch

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet, assemble_splits
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.images.targets import find_fault, find_task, lies_inside
from tests.training.tiny import tiny_dense_images

IMAGES = torch.zeros(2, 1, 4, 6, dtype=torch.uint8)


def whole(*shape: int, value: int = 0) -> torch.Tensor:
    return torch.full(shape, value, dtype=torch.int64)


@pytest.mark.parametrize(
    ("shape", "task"),
    [
        ((2,), "classification"),
        ((2, 4, 6), "segmentation"),
        ((2, 5, 3), "keypoints"),
        ((2, 1, 3), "keypoints"),
    ],
)
def test_the_shape_of_the_labels_tells_the_task(shape, task):
    assert find_task(whole(*shape), IMAGES) == ImageSet(IMAGES, whole(*shape)).task == task


@pytest.mark.parametrize(
    "labels",
    [whole(3), whole(2, 4), whole(2, 6, 4), whole(2, 0, 3), whole(2, 5, 2), whole(1, 4, 6), whole(2).float()],
)
def test_other_shapes_and_types_are_refused_with_the_allowed_ones(labels):
    with pytest.raises(ImageError, match=r"int64 of shape \[2\], \[2, 4, 6\] or \[2, points, 3\]"):
        ImageSet(IMAGES, labels)


def point(x: int, y: int, visible: int) -> torch.Tensor:
    return torch.tensor([[[x, y, visible]]])


def test_a_point_on_the_left_edge_is_inside_and_one_on_the_right_edge_outside():
    places = torch.tensor([[0, 0, 0], [95, 63, 0], [96, 0, 0], [0, 64, 0], [-1, 0, 0]])
    assert lies_inside(places, (4, 6)).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("task", "labels", "outputs", "fault"),
    [
        ("classification", torch.tensor([0, 1]), 2, ""),
        ("classification", torch.tensor([0, 2]), 2, "must be from 0 to 1"),
        ("classification", torch.tensor([-1, 0]), 2, "must be from 0 to 1"),
        ("segmentation", torch.tensor([[[0, 1, 255]]]), 2, ""),
        ("segmentation", torch.tensor([[[0, 2, 255]]]), 2, "of pixels must be from 0 to 1, or 255 for none"),
        ("segmentation", torch.tensor([[[0, -1]]]), 2, "of pixels must be from 0 to 1, or 255 for none"),
        ("segmentation", torch.tensor([[[0, 256]]]), 2, "of pixels must be from 0 to 1, or 255 for none"),
        ("segmentation", whole(1, 2, 2, value=255), 2, "must have a pixel with a class"),
        ("segmentation", whole(1, 2, 2), 256, "of pixels must be of 255 classes at most, not of 256"),
        ("keypoints", point(95, 63, 1), 1, ""),
        ("keypoints", point(95, 63, 1), 2, "must have 2 points for each image, not 1"),
        ("keypoints", point(-(2**63), 0, 0), 1, "must have every point within 32768 pixels"),
        ("keypoints", point(0, 2**19 + 1, 0), 1, "must have every point within 32768 pixels"),
        ("keypoints", point(95, 63, 2), 1, "must have the visibility 0 or 1 for every point"),
        ("keypoints", point(96, 63, 1), 1, "must have every visible point inside its image"),
        ("keypoints", point(96, 63, 0), 1, "must have a visible point"),
    ],
)
def test_a_fault_is_said_in_words(task, labels, outputs, fault):
    assert find_fault(task, labels, outputs, (4, 6)) == fault


@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
def test_dense_images_survive_their_file(task, tmp_path):
    images = tiny_dense_images(task)
    save_splits(images, tmp_path / "a")
    loaded = load_splits(tmp_path / "a")
    assert loaded.task == task
    assert loaded.fingerprint == images.fingerprint
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(loaded, part).labels, getattr(images, part).labels)


def test_the_labels_alone_change_the_fingerprint():
    masks, points = tiny_dense_images("segmentation"), tiny_dense_images("keypoints")
    assert torch.equal(masks.train.images, points.train.images)
    assert masks.fingerprint != points.fingerprint


def test_parts_of_different_tasks_are_refused():
    masks, points = tiny_dense_images("segmentation"), tiny_dense_images("keypoints")
    with pytest.raises(ImageError, match="the test labels are of keypoints, and the train labels of segm"):
        assemble_splits(masks.train, masks.validation, points.test, masks.class_names)


def test_a_mask_of_an_unknown_class_is_refused():
    masks = tiny_dense_images("segmentation")
    with pytest.raises(ImageError, match="the train labels of pixels must be from 0 to 0, or 255"):
        assemble_splits(masks.train, masks.validation, masks.test, ["ground"])
