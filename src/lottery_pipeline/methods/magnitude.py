"""Magnitude at the start point (Frankle et al., ICLR 2021): keep the largest weights, no data."""

# ruff: noqa: ARG001 (every method is called alike)

from collections.abc import Iterable
from functools import partial

from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.options import StartOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.sparsity.masks import Masks, apply_masks_, check_masks
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord


def magnitude_scores(
    model: nn.Module,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    masks: Masks | None = None,
    ignore_layers: Iterable[str] = (),
) -> Scores:
    """Score weights by |theta|.

    Args:
        model: stays as it is.
        images: ignored.
        labels: ignored.
        masks: masked weights score 0; None is all ones.
        ignore_layers: patterns of layers that are never pruned.

    Returns:
        Higher = keep; by name of the prunable parameters, on the model's device.

    Raises:
        ModelError: nothing is left to prune.
        MaskError: the masks are not those of the model.
    """
    prunable = prunable_parameters(model, ignore_layers)
    scores = {name: weight.detach().abs() for name, weight in prunable.items()}
    if masks is not None:
        check_masks(masks, scores)
        apply_masks_(scores, masks)
    return scores


def extract_magnitude(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    seed: int,
    options: StartOptions,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> Extraction:
    """Find a ticket by the magnitude of theta_0 or theta_k; arguments and errors as of ``extract_snip``."""
    return extract_by_scores(
        "magnitude",
        partial(magnitude_scores, ignore_layers=dense.spec.ignore_layers),
        images,
        dense,
        options,
        images_per_round=0,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        allow_factory=allow_factory,
    )
