"""What the labels tell before the first node."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lottery_pipeline.hooks.image_checks import Counts, check_recipe, count_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.parameters import (
    PretrainingParameters,
    RetrainingParameters,
    SparseRetrainingParameters,
)
from lottery_pipeline.training.recipe import RecipeError
from tests.images.builders import write_classes, write_npz


def parameters(data: dict[str, Any] | None = None, **pretraining: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "data": ImageRequest(**(data or {})),
        "pretraining": PretrainingParameters(
            **{"epochs": 3, "batch_size": 32, "rewind_epoch": 1} | pretraining
        ),
        "retraining": RetrainingParameters(),
        "sparse_retraining": SparseRetrainingParameters(epochs=5),
        "signature_embedding": SignatureOptions(
            owner="somebody", trigger_family="pattern", trigger_images=25
        ),
    }


def test_the_digits_are_counted(tmp_path: Path) -> None:
    assert count_images(parameters(), tmp_path) == Counts(1294, 10, (1, 8, 8), 359)
    assert count_images(parameters({"train_limit": 96}), tmp_path) == Counts(96, 10, (1, 8, 8), 359)
    assert count_images(parameters({"source": "canvases", "task": "keypoints"}), tmp_path) == Counts(
        5176, 5, (3, 32, 32), 1436
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"train_limit": 9}, "data.train_limit is 9, but there are 10 classes"),
        ({"test_fraction": 0.001}, "data.test_fraction 0.001 of 1,797 images leaves a part without it"),
        ({"validation_fraction": 0.999}, "data.validation_fraction 0.999 of"),
    ],
)
def test_parts_without_a_class_are_refused(fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=words):
        count_images(parameters(fields), tmp_path)


def test_a_folder_with_one_image_of_a_class_is_refused_without_decoding_any(tmp_path: Path) -> None:
    write_classes(tmp_path / "images", {"cat": 20, "dog": 1})
    for path in (tmp_path / "images").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])  # no more than its header
    folder = {"source": "image_folder", "root": "images"}
    with pytest.raises(
        ImageError, match=r"class 'dog' with 1 image is too small: data\.test_fraction 0\.2 of 21 images"
    ):
        count_images(parameters(folder), tmp_path)
    write_classes(tmp_path / "images", {"dog": 20})
    assert count_images(parameters(folder), tmp_path) == Counts(29, 2, (3, 8, 8), 8)
    (tmp_path / "images" / "dog" / "000.png").write_bytes(b"not an image")
    with pytest.raises(ImageError, match=r"000\.png is not a readable JPEG or PNG image"):
        count_images(parameters(folder), tmp_path)


def test_arrays_are_counted_by_their_labels(tmp_path: Path) -> None:
    x = np.zeros((21, 8, 8), dtype=np.uint8)
    write_npz(tmp_path / "x.npz", x=x, y=np.array(["a"] * 20 + ["b"]))
    arrays = {"source": "arrays", "root": "x.npz"}
    with pytest.raises(ImageError, match="class 'b' with 1 image is too small"):
        count_images(parameters(arrays), tmp_path)
    write_npz(tmp_path / "x.npz", x=x, y=np.array(["a"] * 11 + ["b"] * 10))
    assert count_images(parameters(arrays), tmp_path) == Counts(15, 2, (1, 8, 8), 4)
    resized = arrays | {"image_size": 4, "channels": 3}
    assert count_images(parameters(resized), tmp_path) == Counts(15, 2, (3, 4, 4), 4)


def test_images_that_are_to_be_downloaded_are_not(tmp_path: Path) -> None:
    data = {"source": "torchvision:MNIST", "root": "nowhere", "download": True}
    assert count_images(parameters(data), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pretraining", "retraining", "sparse_retraining"])
def test_a_recipe_is_checked_against_the_images(name: str) -> None:
    check_recipe(name, parameters(), Counts(96, 10))
    check_recipe(name, parameters(), None)
    with pytest.raises(RecipeError, match="crop_padding is 9, but images of 8x8 pixels take at most 8"):
        check_recipe(name, parameters(crop_padding=9), None)
    with pytest.raises(RecipeError, match="at least 2 training images"):
        check_recipe(name, parameters(), Counts(1, 2))


def test_a_rewind_point_after_the_last_iteration_is_refused() -> None:
    late = parameters(epochs=None, iterations=5, rewind_epoch=2)
    check_recipe("pretraining", late, Counts(64, 10))
    with pytest.raises(RecipeError, match=r"rewind_epoch 2 .* is not before the end of the training"):
        check_recipe("pretraining", late, Counts(96, 10))


def test_a_batch_larger_than_all_images_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_recipe("pretraining", parameters(batch_size=512), Counts(96, 10))
        check_recipe("retraining", parameters(batch_size=512), Counts(96, 10))
    assert caplog.messages == [
        "pretraining.batch_size is 512, but there are 96 training images: each step takes them all."
    ]
