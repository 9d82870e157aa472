from itertools import pairwise

import numpy as np
import pytest
import torch

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.options.robustness import CorruptionOptions
from lottery_pipeline.robustness.corruptions import CORRUPTIONS, corrupt
from lottery_pipeline.robustness.corruptions.names import (
    GROUPS,
    LABELS,
    SEVERITIES,
    TEST_CORRUPTIONS,
    VALIDATION_CORRUPTIONS,
)
from tests.robustness.corruptions.pictures import draw_random, draw_smooth, to_tensor

SIZES = [(4, 4), (5, 7), (8, 8), (28, 28), (32, 32), (33, 31)]
CHANCELESS = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}
# Later severities of the others are not simply stronger: glass blur trades blur for moves, elastic transform
# reach for strength, pixelate lands on other grids.
GROWING = set(CORRUPTIONS) - {"glass_blur", "elastic_transform", "pixelate"}


def test_there_are_fifteen_names_and_generators_for_all_but_the_two_that_need_files_or_many_steps():
    assert len(TEST_CORRUPTIONS) == len(set(TEST_CORRUPTIONS)) == len(LABELS) == 15
    assert set(TEST_CORRUPTIONS) - set(CORRUPTIONS) == {"snow", "frost"}
    assert set(CORRUPTIONS) < set(TEST_CORRUPTIONS)
    assert not set(TEST_CORRUPTIONS) & set(VALIDATION_CORRUPTIONS)
    assert [len(names) for names in GROUPS.values()] == [3, 4, 4, 4]


def test_the_options_name_the_same_corruptions_in_the_same_order():
    assert CorruptionOptions().names == tuple(CORRUPTIONS)
    assert CorruptionOptions().severities == SEVERITIES


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_every_cell_keeps_type_and_shape_at_every_size_and_changes_something(size, channels):
    images = to_tensor(draw_random(2, *size, channels))
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            found = corrupt(images, name, severity, seed=0, indices=[0, 1])
            assert (found.dtype, found.shape) == (torch.uint8, images.shape)
            assert found.is_contiguous()
            # In a small image no value need be hit, and the zoomed sides may round to the image's own.
            may_stay = name in ("impulse_noise", "zoom_blur") and severity <= 2 and size[0] <= 8
            assert may_stay or (found != images).any()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_alone_and_in_any_batch_is_corrupted_alike(name):
    images = to_tensor(draw_random(130, 33, 31, 3))  # more than are worked on at once
    for severity in (1, 5):
        whole = corrupt(images, name, severity, seed=7, indices=range(130))
        alone = corrupt(images[5:6], name, severity, seed=7, indices=[5])
        some = corrupt(images[[129, 5, 60]], name, severity, seed=7, indices=[129, 5, 60])
        assert torch.equal(alone[0], whole[5])
        assert torch.equal(some, whole[[129, 5, 60]])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_draws_depend_on_seed_index_and_severity_and_on_nothing_else(name):
    images = to_tensor(draw_random(1, 32, 32, 1)).repeat(2, 1, 1, 1)
    first = corrupt(images, name, 3, seed=1, indices=[0, 1])
    torch.manual_seed(5)
    np.random.seed(5)  # the global state must not matter
    assert torch.equal(first, corrupt(images, name, 3, seed=1, indices=[0, 1]))
    other_seed = corrupt(images, name, 3, seed=2, indices=[0, 1])
    assert torch.equal(first, other_seed) == (name in CHANCELESS)
    assert torch.equal(first[0], first[1]) == (name in CHANCELESS)


@pytest.mark.parametrize("name", sorted(GROWING))
def test_a_higher_severity_moves_images_further(name):
    images = to_tensor(draw_smooth(24, 32, 32, 3))
    distances = [
        (corrupt(images, name, severity, seed=0, indices=range(24)).float() - images).abs().mean().item()
        for severity in SEVERITIES
    ]
    assert all(first < second for first, second in pairwise(distances)), distances


def test_no_images_give_no_images():
    assert corrupt(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "fog", 1, seed=0, indices=[]).shape == (
        0,
        3,
        8,
        8,
    )


@pytest.mark.parametrize(
    ("shape", "name", "severity", "count", "words"),
    [
        (
            (1, 3, 8, 8),
            "snow",
            1,
            1,
            "'snow' is not a valid corruption; allowed are gaussian_noise, shot_noise",
        ),
        ((1, 3, 8, 8), "fog", 6, 1, "6 is not a valid severity; allowed are 1 to 5"),
        ((1, 3, 8, 8), "fog", 0, 1, "0 is not a valid severity; allowed are 1 to 5"),
        ((1, 3, 3, 8), "fog", 1, 1, "at least 4 x 4 pixels, got shape (3, 3, 8)"),
        ((1, 2, 8, 8), "fog", 1, 1, "images of 1 or 3 channels"),
        ((1, 3, 8, 8), "fog", 1, 2, "got 2 for 1 images"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(shape, name, severity, count, words):
    with pytest.raises(ImageError) as caught:
        corrupt(torch.zeros(shape, dtype=torch.uint8), name, severity, seed=0, indices=range(count))
    assert words in str(caught.value)
