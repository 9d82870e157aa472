"""Nodes of data preparation."""

from typing import Any

from lottery_pipeline.parameters import DataParameters


def prepare_images(data: DataParameters, seed: int, stored: Any) -> Any:
    """Prepare the images asked for, or return the stored ones if they are the same."""
    from lottery_pipeline.images import preparation

    return preparation.prepare_images(data, seed=seed, stored=stored)


def profile_images(images: Any) -> tuple[Any, dict[str, Any]]:
    """Count the images of each class in each part, and describe them as a whole."""
    from lottery_pipeline.images import profile

    return profile.profile_images(images), profile.summarise_images(images)


def draw_images(images: Any) -> tuple[Any, Any]:
    """Draw sample images and the class counts."""
    from lottery_pipeline.images import profile

    return profile.draw_samples(images), profile.draw_class_counts(images)
