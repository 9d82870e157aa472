"""What is expected of images before they are read is what they turn out to be."""

import pytest

from lottery_pipeline.images.expected import ExpectedImages, expect_images
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import TORCHVISION_CLASSES, ImageRequest


@pytest.mark.parametrize(
    "asked",
    [
        {"source": "digits"},
        {"source": "digits", "image_size": 12, "channels": 3},
        {"source": "canvases"},
        {"source": "canvases", "task": "segmentation", "image_size": 24, "channels": 1},
        {"source": "canvases", "task": "keypoints", "image_size": 24},
    ],
)
def test_images_that_need_no_files_are_as_expected(asked):
    request = ImageRequest(**asked, train_limit=10)
    splits = prepare_images(request, seed=0)
    found = ExpectedImages(splits.num_classes, splits.channels, splits.image_size)
    assert expect_images(request) == found


@pytest.mark.parametrize("name", TORCHVISION_CLASSES)
def test_the_sizes_of_the_classic_sets_are_those_of_their_papers(name):
    expected = expect_images(ImageRequest(source=f"torchvision:{name}", root="data"))
    grey = name.endswith("MNIST")
    assert expected.image_size == ((28, 28) if grey else (32, 32))
    assert expected.channels == (1 if grey else 3)
    assert expected.num_classes == (100 if name == "CIFAR100" else 10)


def test_the_size_of_other_images_is_unknown_unless_it_is_asked_for():
    request = ImageRequest(source="image_folder", root="photos")
    assert expect_images(request).image_size is None
    sized = request.model_copy(update={"image_size": 64})
    assert expect_images(sized).image_size == (64, 64)
    assert not expect_images(sized).channels_are_known
    assert expect_images(request.model_copy(update={"channels": 1})).channels_are_known
