"""The specification of a built-in network for the images of a benchmark."""

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.choice import specify_model
from lottery_pipeline.models.spec import ModelSpec


def specify(name: str, images: ImageSplits) -> ModelSpec:
    """Return the specification of a network by its name, all its layers prunable."""
    return specify_model(
        name,
        ignore_layers=(),
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
        task=images.task,
    )
