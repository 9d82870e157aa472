"""The images that all networks of an evaluation are measured on: chosen and made once."""

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator
from lottery_pipeline.robustness.corruptions.preparation import CorruptedImages, prepare_corrupted
from lottery_pipeline.robustness.strangers import gather_strangers
from lottery_pipeline.training.device import pick_device, place_model_

logger = logging.getLogger(__name__)


class Conditions:
    """What all networks of an evaluation share; images are made when the first network needs them.

    Args:
        images: of the networks.
        options: of the evaluation.
        seed: of the choice of images, and of everything that is drawn.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ImageError: the images have no classes, or there are no test images.
    """

    def __init__(self, images: ImageSplits, options: RobustnessOptions, *, seed: int, device: str) -> None:
        if images.task != "classification":
            raise ImageError(f"robustness needs images with classes, but these are for {images.task}")
        if not len(images.test):
            raise ImageError("there are no test images to measure robustness on")
        self.images, self.options = images, options
        for name, taken in self.counts().items():
            asked = getattr(getattr(options, name, None), "images", None)
            if asked is not None and asked > taken:
                logger.warning(
                    "robustness_evaluation.%s.images is %d, but there are %d test images: all are taken.",
                    name,
                    asked,
                    taken,
                )
        self.seed = derive_seed(seed, "robustness")
        self.device = pick_device(device)

    @property
    def statistics(self) -> dict[str, Any]:
        """What every family needs for its intervals."""
        options = self.options
        return {"seed": self.seed, "resamples": options.resamples, "confidence": options.confidence}

    def counts(self) -> dict[str, int]:
        """Return how many test images each family is measured on."""
        total = len(self.images.test)
        families = ("adversarial", "corruptions", "out_of_distribution")
        counts = {
            name: min(getattr(self.options, name).images or total, total)
            for name in families
            if self.includes(name)
        }
        return {"clean": total, **counts, **({"calibration": total} if self.includes("calibration") else {})}

    def includes(self, family: str) -> bool:
        """Whether a family is measured; clean images always are."""
        return family == "clean" or getattr(self.options, family) is not None

    def prepare(self) -> None:
        """Check and read what files are named, so that a fault shows before the first network is attacked."""
        if self.includes("corruptions"):
            _ = self.corrupted
        if self.includes("out_of_distribution"):
            _ = self.strangers

    def place(self, model: nn.Module) -> nn.Module:
        """Put a network on the device, in evaluation mode."""
        place_model_(model, self.device)
        return model.eval()

    def choose(self, count: int | None) -> Tensor:
        """Choose test images, the same ones for every network: ascending indices.

        A smaller choice is part of every larger one, so a larger budget only adds images.

        Args:
            count: how many; None takes all.
        """
        total = len(self.images.test)
        order = torch.randperm(total, generator=make_generator(self.seed, "images"))
        return order[: min(count or total, total)].sort().values

    @cached_property
    def corrupted(self) -> CorruptedImages:
        """The corrupted images; the options must name corruptions."""
        options = self.options.corruptions
        assert options is not None  # noqa: S101 (includes() has said so)
        return prepare_corrupted(
            self.images.test,
            self.choose(options.images),
            options,
            num_classes=self.images.num_classes,
            seed=self.seed,
        )

    @cached_property
    def strangers(self) -> Mapping[str, ImageSet]:
        """Images of other kinds, by set; the options must name some."""
        options = self.options.out_of_distribution
        assert options is not None  # noqa: S101 (includes() has said so)
        return gather_strangers(self.images, options, seed=self.seed)
