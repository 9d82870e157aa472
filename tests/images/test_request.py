import pytest
from pydantic import ValidationError

from lottery_pipeline.images.request import ImageError, ImageRequest


def test_the_default_is_digits_without_files():
    assert ImageRequest().source == "digits"
    assert ImageRequest().root is None


def test_an_unknown_torchvision_class_is_refused_with_the_allowed_ones():
    with pytest.raises(ValidationError, match=r"torchvision:Places.*allowed: digits.*torchvision:SVHN"):
        ImageRequest(source="torchvision:Places", root="data")


@pytest.mark.parametrize("source", ["image_folder", "arrays", "torchvision:MNIST"])
def test_a_source_of_files_needs_a_root(source):
    with pytest.raises(ValidationError, match="needs root"):
        ImageRequest(source=source)


@pytest.mark.parametrize(
    "wrong",
    [
        {"validation_fraction": 1.0},
        {"validation_fraction": -0.1},
        {"validation_fraction": float("nan")},
        {"test_fraction": 0},
        {"channels": 2},
        {"image_size": 0},
        {"image_size": 100_000},
        {"train_limit": 1},
        {"imagesize": 32},
    ],
)
def test_a_value_out_of_range_or_an_unknown_key_is_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ImageRequest.model_validate(wrong)


def test_a_task_that_a_source_has_no_labels_for_is_refused_with_the_allowed_ones():
    with pytest.raises(ValidationError, match="'digits' has no labels for task 'keypoints'; allowed: class"):
        ImageRequest(task="keypoints")
    with pytest.raises(ValidationError, match="allowed: classification, segmentation"):
        ImageRequest(source="torchvision:OxfordIIITPet", root="x", image_size=8, task="keypoints")
    assert ImageRequest(source="canvases", task="keypoints").task == "keypoints"


def test_an_image_error_is_a_value_error():
    assert issubclass(ImageError, ValueError)
