"""Magnitude at the start point (Frankle et al., ICLR 2021): keep the largest weights, no data."""

from collections.abc import Iterable

from torch import Tensor, nn

from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.options import StartOptions
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.sparsity.masks import Masks, apply_masks_, check_masks
from lottery_pipeline.sparsity.selection import Scores


def magnitude_scores(
    model: nn.Module,
    images: Tensor | None = None,  # noqa: ARG001 (score methods are called alike)
    labels: Tensor | None = None,  # noqa: ARG001
    *,
    masks: Masks | None = None,
    ignore_layers: Iterable[str] = (),
) -> Scores:
    """Score weights by |theta|; images and labels are ignored.

    Arguments and errors are those in ``search/scoring.py``.
    """
    prunable = prunable_parameters(model, ignore_layers)
    scores = {name: weight.detach().abs() for name, weight in prunable.items()}
    if masks is not None:
        check_masks(masks, scores)
        apply_masks_(scores, masks)
    return scores


def extract_magnitude(search: Search, options: StartOptions) -> Extraction:
    """Find a ticket by the magnitude of theta_0 or theta_k; errors as in ``extract_by_scores``."""
    return extract_by_scores("magnitude", magnitude_scores, search, options)
