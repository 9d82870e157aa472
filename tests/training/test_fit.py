"""Whether a recipe fits the images."""

import pytest

from lottery_pipeline.training.fit import check_fit
from lottery_pipeline.training.recipe import Recipe, RecipeError

SHORT = {"iterations": 10, "batch_size": 4}


@pytest.mark.parametrize(
    ("changes", "size", "most"),
    [
        ({"crop_padding": 5}, (4, 9), 4),
        ({"crop_padding": 4, "crop_mode": "reflect"}, (4, 9), 3),
        ({"crop_padding": 9, "crop_mode": "zero"}, (8, 8), 8),
    ],
)
def test_a_crop_larger_than_the_image_is_refused_with_the_largest_that_fits(changes, size, most) -> None:
    words = f"images of {size[0]}x{size[1]} pixels take at most {most} with crop_mode"
    with pytest.raises(RecipeError, match=words):
        check_fit(Recipe(**SHORT, **changes), images=None, image_size=size, task="classification")
    check_fit(
        Recipe(**SHORT, **{**changes, "crop_padding": most}), images=9, image_size=size, task="segmentation"
    )
    check_fit(Recipe(**SHORT, **changes), images=9, image_size=None, task="classification")


def test_what_would_move_the_targets_is_refused() -> None:
    for changes, task, words in (
        ({"flip": True}, "keypoints", "points cannot be flipped"),
        ({"label_smoothing": 0.1}, "keypoints", "no classes to smooth"),
        ({"augmix": True}, "segmentation", "augmix is on"),
    ):
        with pytest.raises(RecipeError, match=words):
            check_fit(Recipe(**SHORT, **changes), images=9, image_size=(8, 8), task=task)


def test_a_training_that_ends_before_its_milestone_is_refused_once_the_number_of_images_is_known() -> None:
    recipe = Recipe(**SHORT, schedule="step", milestones=(5,))
    check_fit(recipe, images=4, image_size=None, task="classification")
    with pytest.raises(RecipeError, match="milestone 5 is not before the end of the training"):
        check_fit(recipe, images=400, image_size=None, task="classification")
    with pytest.raises(RecipeError, match="at least 2 training images, but there are 1"):
        check_fit(recipe, images=1, image_size=None, task="classification")
