"""What processes that train together tell one another: values of rank 0, sums, whether all are equal."""

from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.training.parallel import count_processes, explain_faults, find_team
from lottery_pipeline.training.ranks import ParallelError
from lottery_pipeline.training.recipe import RecipeError

T = TypeVar("T")


def check_batch(label: str, images: int) -> None:
    """Refuse a batch of which some process would get no image.

    Raises:
        RecipeError: it has fewer images than there are processes.
    """
    if images < count_processes():
        raise RecipeError(
            f"{label} has {images} images in a batch, but {count_processes()} processes share it; "
            "start fewer, or choose a larger batch_size"
        )


def agree(value: T) -> T:
    """Return rank 0's value on all processes of a call."""
    if find_team() is None:
        return value
    values = [value]
    with explain_faults():
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def add_up_(tensor: Tensor) -> Tensor:
    """Add up a contiguous tensor over the processes of a call, in place, and return it."""
    if find_team() is not None:
        with explain_faults():
            dist.all_reduce(tensor)
    return tensor


def check_equal(what: str, tensors: Mapping[str, Tensor]) -> None:
    """Compare a digest of tensors with that of rank 0.

    Raises:
        ParallelError: on some process they are not the same, bit for bit; raised on all of them.
    """
    if find_team() is None:
        return
    digest = fingerprint_tensors(dict(tensors))
    differ = int(add_up_(torch.tensor([int(agree(digest) != digest)])))
    if differ:
        raise ParallelError(
            f"{what} differ between the processes ({differ} of {count_processes()} disagree with process 0), "
            "so the result would be wrong; see that all of them run the same versions on the same hardware."
        )


class Pace:
    """How many steps are made before the clock is looked at: as many on all processes.

    Args:
        seconds: that they may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._steps = seconds, 1

    def agree(self) -> int:
        """Return how many steps come next."""
        self._steps = agree(self._steps)
        return self._steps

    def adapt(self, steps: int, seconds: float) -> None:
        """Tell how long the last steps took."""
        fitting = int(steps * self._seconds / max(seconds, 1e-9))
        self._steps = max(1, min(fitting, 2 * self._steps))
