"""Whether a recipe can work on some images: what is knowable before the first step."""

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.training.recipe import Recipe, RecipeError


def check_fit(
    recipe: Recipe, *, images: int | None, image_size: tuple[int, int] | None, task: TaskName
) -> None:
    """Refuse a recipe that these images cannot be trained with.

    Args:
        recipe: of the training.
        images: number of training images; None if it is not known yet.
        image_size: height and width in pixels; None if they are not known yet.
        task: what the labels are for.

    Raises:
        RecipeError: there are fewer than two images, the training ends before a milestone, a crop is larger
            than the image, or an augmentation moves what the task looks for.
    """
    if recipe.flip and task == "keypoints":
        raise RecipeError("flip is on, but points cannot be flipped: left and right would be mixed up")
    if recipe.label_smoothing and task == "keypoints":
        raise RecipeError(
            f"label_smoothing is {write_number(recipe.label_smoothing)}, but keypoints have no "
            f"classes to smooth"
        )
    if recipe.augmix and task != "classification":
        raise RecipeError(f"augmix is on, but it would move the images away from what {task} looks for")
    if image_size is not None:
        most = min(image_size) - (recipe.crop_mode == "reflect")
        if recipe.crop_padding > most:
            height, width = image_size
            raise RecipeError(
                f"crop_padding is {recipe.crop_padding}, but images of {height}x{width} pixels take at most "
                f"{most} with crop_mode {recipe.crop_mode}"
            )
    if images is not None:
        recipe.check_length(images)
