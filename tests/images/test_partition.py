from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.images.labelled import LabelledImages, Partition
from lottery_pipeline.images.partition import partition_images
from lottery_pipeline.images.request import ImageError, ImageRequest


def labelled(counts: list[int], test_counts: list[int] | None = None) -> LabelledImages:
    train = np.repeat(np.arange(len(counts)), counts)
    test = np.repeat(np.arange(len(counts)), test_counts or [0] * len(counts))
    names = tuple(f"class {number}" for number in range(len(counts)))
    labels = np.concatenate([train, test])
    return LabelledImages(names, labels, len(train), lambda indices: torch.from_numpy(indices))


def count(images: LabelledImages, indices: np.ndarray) -> list[int]:
    return np.bincount(images.labels[indices], minlength=len(images.class_names)).tolist()


def test_every_part_has_its_share_of_every_class():
    images = labelled([100, 50, 200])
    parts = partition_images(images, ImageRequest(validation_fraction=0.1, test_fraction=0.2), seed=0)
    assert count(images, parts.test) == [20, 10, 40]
    assert count(images, parts.validation) == [8, 4, 16]
    assert count(images, parts.train) == [72, 36, 144]


def test_the_validation_part_of_a_source_is_kept_as_it_is():
    images = replace(labelled([20, 20], [3, 4]), validation_count=5)
    parts = partition_images(images, ImageRequest(validation_fraction=0.1), seed=0)
    assert parts.train.tolist() == list(range(40))
    assert parts.validation.tolist() == list(range(40, 45))
    assert parts.test.tolist() == [45, 46]


def test_a_validation_part_without_a_test_part_leaves_that_to_be_drawn_from_the_training_images():
    images = replace(labelled([20, 20], [3, 4]), validation_count=7)
    parts = partition_images(images, ImageRequest(test_fraction=0.1), seed=0)
    assert parts.validation.tolist() == list(range(40, 47))
    assert count(images, parts.test) == [2, 2]
    assert len(parts.train) == 36


def test_the_test_part_of_a_source_is_kept_as_it_is():
    images = labelled([20, 20], [3, 4])
    parts = partition_images(images, ImageRequest(validation_fraction=0.1, test_fraction=0.5), seed=0)
    assert parts.test.tolist() == list(range(40, 47))
    assert len(parts.validation) == 4


@given(
    counts=st.lists(st.integers(20, 60), min_size=2, max_size=6),
    own_test=st.booleans(),
    validation_fraction=st.sampled_from([0.0, 0.1, 0.5]),
    train_limit=st.sampled_from([None, 40, 10_000]),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=60)
def test_parts_are_disjoint_and_lose_no_image(counts, own_test, validation_fraction, train_limit, seed):
    images = labelled(counts, counts if own_test else None)
    request = ImageRequest(validation_fraction=validation_fraction, train_limit=train_limit)
    train, validation, test = partition_images(images, request, seed=seed)
    together = np.concatenate([train, validation, test])
    assert len(np.unique(together)) == len(together)
    assert len(validation) == round(validation_fraction * (len(images.labels) - len(test)))
    rest = len(images.labels) - len(test) - len(validation)
    assert len(train) == min(train_limit or rest, rest)
    for part in (train, validation, test):
        assert np.array_equal(part, np.sort(part))


def test_the_seed_decides_and_nothing_else():
    images, request = labelled([50, 50]), ImageRequest()
    first, again, other = (partition_images(images, request, seed=seed) for seed in (0, 0, 1))
    for one, two, three in zip(first, again, other, strict=True):
        assert np.array_equal(one, two)
        assert not np.array_equal(one, three)


def test_a_limit_takes_a_stratified_part_of_the_training_images_alone():
    images = labelled([100, 300])
    whole = partition_images(images, ImageRequest(), seed=3)
    limited = partition_images(images, ImageRequest(train_limit=40), seed=3)
    assert count(images, limited.train) == [10, 30]
    assert set(limited.train) < set(whole.train)
    assert np.array_equal(limited.validation, whole.validation)
    assert np.array_equal(limited.test, whole.test)


def test_a_limit_just_below_the_number_of_images_is_exact():
    images = labelled([50, 50])
    size = len(partition_images(images, ImageRequest(), seed=0).train)
    assert len(partition_images(images, ImageRequest(train_limit=size - 1), seed=0).train) == size - 1


def test_parts_that_the_source_decides_on_are_kept_apart_from_the_limit():
    images = labelled([10, 30])
    own = Partition(np.arange(0, 40, 2), np.arange(1, 5, 2), np.arange(5, 40, 2))
    decided = replace(images, partition=own)
    found = partition_images(decided, ImageRequest(), seed=0)
    assert all(np.array_equal(one, two) for one, two in zip(found, own, strict=True))
    limited = partition_images(decided, ImageRequest(train_limit=8), seed=0)
    assert count(images, limited.train) == [2, 6]
    assert set(limited.train) < set(own.train)
    assert np.array_equal(limited.test, own.test)


def test_in_a_dense_task_no_part_needs_every_class():
    images = labelled([50, 1])
    with pytest.raises(ImageError, match="too small"):
        partition_images(images, ImageRequest(), seed=0)
    dense = replace(images, read_both=lambda indices: (images.read(indices), images.read(indices)))
    assert sum(map(len, partition_images(dense, ImageRequest(), seed=0))) == 51


@pytest.mark.parametrize(
    ("counts", "fields", "message"),
    [
        ([50, 1], {}, "'class 1' with 1 image is too small: data.test_fraction 0.2 of 51 images"),
        ([50, 3], {"validation_fraction": 0.01, "test_fraction": 0.4}, "data.validation_fraction 0.01"),
        ([50, 50], {"test_fraction": 0.999}, "data.test_fraction 0.999"),
        (
            [50, 50, 50],
            {"train_limit": 2},
            "data.train_limit is 2, but there are 3 classes; allowed: 3 or more",
        ),
        (
            [500, 5, 500],
            {"train_limit": 3, "test_fraction": 0.5, "validation_fraction": 0},
            "data.train_limit 3 leaves a part without it",
        ),
    ],
)
def test_a_class_too_small_for_a_part_is_named(counts, fields, message):
    with pytest.raises(ImageError, match=message):
        partition_images(labelled(counts), ImageRequest(**fields), seed=0)


@pytest.mark.parametrize(
    "fields", [{"test_fraction": 0.01}, {"validation_fraction": 0.001}, {"test_fraction": 0.999}]
)
def test_a_part_without_images_is_refused_for_every_task(fields):
    images = labelled([10, 10])
    dense = replace(images, read_both=lambda indices: (images.read(indices), images.read(indices)))
    name, fraction = next(iter(fields.items()))
    with pytest.raises(
        ImageError, match=rf"data.{name} is {fraction}, which leaves a part without images; there are"
    ):
        partition_images(dense, ImageRequest(**fields), seed=0)
