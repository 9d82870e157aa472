"""What the robustness evaluation is told to use is there and fits, before anything is trained."""

from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.hooks.image_checks import Counts
from lottery_pipeline.hooks.robustness_checks import check_robustness
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.options.robustness import RobustnessOptions
from tests.robustness.corruptions.published_files import write_new_test_set, write_published


def check(folder: Path, counts: Counts | None, **corruptions: Any) -> None:
    options = RobustnessOptions.model_validate({"corruptions": corruptions})
    check_robustness({"robustness_evaluation": options, "data": ImageRequest()}, folder, counts)


@pytest.mark.parametrize("option", ["published", "new_test_sets"])
def test_published_files_must_have_the_classes_and_the_shape_of_the_images(
    tmp_path: Path, option: str
) -> None:
    write_published(tmp_path / "files")
    write_new_test_set(tmp_path / "files")
    given = {option: "files" if option == "published" else ["files"]}
    check(tmp_path, None, **given)
    check(tmp_path, Counts(50, 10, (3, 32, 32)), **given)
    with pytest.raises(ImageError, match="classes, but the network has 7"):
        check(tmp_path, Counts(50, 7, (3, 32, 32)), **given)
    with pytest.raises(ImageError, match="32"):
        check(tmp_path, Counts(50, 10, (1, 8, 8)), **given)
    check(tmp_path, Counts(50, 7), **given)  # the images may still have any shape


def test_published_files_must_have_an_image_for_every_test_image(tmp_path: Path) -> None:
    write_published(tmp_path / "files", count=6)
    check(tmp_path, Counts(50, 10, (3, 32, 32), 6), published="files")
    words = "labels.npy has 6 images for each severity, but the test set has 7"
    with pytest.raises(ImageError, match=words):
        check(tmp_path, Counts(50, 10, (3, 32, 32), 7), published="files")
