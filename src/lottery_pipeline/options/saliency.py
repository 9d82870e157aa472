"""Options of the methods that score weights at the start point, and of random masks."""

from typing import Literal

from pydantic import Field

from lottery_pipeline.options.start import StartOptions

Allocation = Literal["global", "uniform", "erk", "smart_ratio"]


class RandomOptions(StartOptions):
    """A random mask.

    Attributes:
        allocation: ``global`` draws over all weights together, ``uniform`` gives every layer the same
            density, ``erk`` favours small layers, ``smart_ratio`` favours early convolutions.
    """

    allocation: Allocation = "erk"


class SynflowOptions(StartOptions):
    """SynFlow.

    Attributes:
        rounds: n; after round r a density of density**(r / n) is left.
    """

    rounds: int = Field(default=100, ge=1, le=10_000, strict=True)


class SaliencyOptions(StartOptions):
    """Scores from gradients on a few training images.

    Attributes:
        rounds: as for SynFlow; 1 is the published method.
        images_per_class: training images drawn from each class.
        batch_size: images at once; gradients are summed over all images before they are used.
        batch_statistics: batch norm normalises by the batch (as in training), not by its running averages.
    """

    rounds: int = Field(default=1, ge=1, le=10_000, strict=True)
    images_per_class: int = Field(default=10, ge=1, strict=True)
    batch_size: int = Field(default=256, ge=2, strict=True)
    batch_statistics: bool = True


class GraspOptions(SaliencyOptions):
    """GraSP.

    Attributes:
        temperature: logits are divided by it.
        absolute: rank by the magnitude of the score.
    """

    temperature: float = Field(default=200.0, gt=0)
    absolute: bool = False


class ProsprOptions(StartOptions):
    """ProsPr.

    Attributes:
        steps: of SGD before the loss whose gradient is taken.
        learning_rate: of these steps.
        momentum: of these steps.
        batch_size: images of each step, and of the loss.
        first_order: treat the gradient of every step as a constant: cheaper, but a different ranking.
    """

    steps: int = Field(default=3, ge=1, le=1000, strict=True)
    learning_rate: float = Field(default=0.5, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    batch_size: int = Field(default=128, ge=2, strict=True)
    first_order: bool = False
