"""What the normalisation layers of a network keep, and whether an image's output depends on its batch."""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase


def list_tracking(model: nn.Module) -> Iterator[_NormBase]:
    """Yield the layers that keep running statistics: batch norm, and instance norm if it is told to."""
    for module in model.modules():
        if isinstance(module, _NormBase) and module.running_mean is not None:
            yield module


def normalises_by_batch(model: nn.Module) -> bool:
    """Whether batch norm without running statistics lets the images of a batch see each other for good.

    In evaluation mode too, then, the output for an image depends on the images beside it.
    """
    return any(isinstance(module, _BatchNorm) and module.running_mean is None for module in model.modules())
