"""Measuring a network during a search: batch-norm statistics first, since tracked ones lag behind."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.supertickets.plan import SearchPlan
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training.evaluation import evaluate, recompute_batchnorm_


class CalibratedTwin:
    """A twin of one network that takes any of its states, with batch-norm statistics taken anew.

    Args:
        model: the network; it is never changed.
        images: statistics are those of ``train``, accuracies those of ``validation``.
        plan: how many batches, of which size, in which precision, and the seed that draws them.
        device: where to compute.
    """

    def __init__(self, model: nn.Module, images: ImageSplits, plan: SearchPlan, device: torch.device) -> None:
        self._twin = copy.deepcopy(model)
        self._images, self._plan, self._device = images, plan, device

    def take(self, state: Mapping[str, Tensor]) -> nn.Module:
        """Return the twin in this state; its statistics are the plain mean over the calibration batches."""
        self._twin.load_state_dict(state)
        recompute_batchnorm_(
            self._twin,
            self._images.train,
            device=self._device,
            batches=self._plan.options.calibration_batches,
            batch_size=self._plan.recipe.batch_size,
            precision=self._plan.recipe.precision,
            seed=derive_seed(self._plan.seed, "calibration"),
        )
        return self._twin

    def validate(self, state: Mapping[str, Tensor]) -> float | None:
        """Return the validation accuracy of this state; None without validation images."""
        if not len(self._images.validation):
            return None
        found = evaluate(
            self.take(state),
            self._images.validation,
            device=self._device,
            precision=self._plan.recipe.precision,
        )
        return found["accuracy"]
