"""What is known of the images of a request before any is read. Imports no torch."""

from dataclasses import dataclass

from lottery_pipeline.images.canvases import POINT_NAMES, SIDE
from lottery_pipeline.images.request import ImageRequest

# Classes, channels and side of the sources whose images are always the same.
_KNOWN: dict[str, tuple[int, int, int]] = {
    "digits": (10, 1, 8),
    "canvases": (10, 3, SIDE),
    **dict.fromkeys(("torchvision:MNIST", "torchvision:FashionMNIST", "torchvision:KMNIST"), (10, 1, 28)),
    "torchvision:CIFAR10": (10, 3, 32),
    "torchvision:CIFAR100": (100, 3, 32),
    "torchvision:SVHN": (10, 3, 32),
}
# Stand in for what only the images tell: layer names do not depend on it, the number of weights hardly does.
_CLASSES, _CHANNELS = 10, 3


@dataclass(frozen=True)
class ExpectedImages:
    """What a network needs to know of its images.

    Attributes:
        num_classes: of a network's outputs.
        channels: of an image.
        image_size: height and width, pixels; None if only the images tell.
        channels_are_known: whether they are not stood in for.
    """

    num_classes: int
    channels: int
    image_size: tuple[int, int] | None
    channels_are_known: bool = True


def expect_images(request: ImageRequest) -> ExpectedImages:
    """Return what a request and its source tell; ten classes and three channels stand in for the rest."""
    classes, channels, known_side = _KNOWN.get(request.source, (_CLASSES, _CHANNELS, None))
    if request.source == "canvases" and request.task != "classification":
        classes = len(POINT_NAMES) if request.task == "keypoints" else classes + 1  # the background
    side = request.image_size or known_side
    return ExpectedImages(
        classes,
        request.channels or channels,
        image_size=None if side is None else (side, side),
        channels_are_known=request.channels is not None or request.source in _KNOWN,
    )
