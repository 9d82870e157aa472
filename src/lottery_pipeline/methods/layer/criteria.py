"""Criteria of layer tickets: a score for each residual block, higher = keep (arXiv 2301.10835).

The paper has no code. It says neither how the scores of weights become the score of a block nor which weights
count. Here the scores of the block's convolutions are summed, or averaged. Left out: l1-norm, which the paper
rejects, and PLS, whose recipe is not published.

With batch norm behind every convolution the loss does not depend on the scale of its weights theta, so over a
convolution sum theta g = 0 and sum theta (H g) = -||g||^2 (up to batch norm's epsilon, and by batch
statistics). ``grasp_text``, the first sum and the paper's wording of GraSP, is therefore rounding error, and
GraSP removes the block whose gradient is largest.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lottery_pipeline.methods.grasp import grasp_scores
from lottery_pipeline.methods.layer.outputs import (
    cka_scores,
    expectabs_scores,
    hrank_scores,
    kl_scores,
    last_norm,
)
from lottery_pipeline.methods.snip import snip_scores
from lottery_pipeline.options.layer import Criterion
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.scoring import Loss, check_labels, copied_tensors, sum_gradients, yield_losses
from lottery_pipeline.search.trial import Trial, UnfitError
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.tickets.errors import TicketError

BlockScores = dict[str, float]


def signed_scores(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None,
    *,
    ignore_layers: Iterable[str] = (),
    batch_size: int = 256,
    batch_statistics: bool = True,
    loss: Loss = cross_entropy,
) -> Scores:
    """Score weights by theta g: SNIP with its sign, the wording of GraSP in the paper.

    Arguments and errors are those of ``snip_scores``.
    """
    labels = check_labels("grasp_text", images, labels)
    with copied_tensors(model, None, ignore_layers, by_batch=batch_statistics) as (weights, others):
        tensors = {**others, **weights}
        losses = yield_losses(model, tensors, images, labels, batch_size=batch_size, loss=loss)
        gradients = sum_gradients(losses, weights)
    return {name: weight.detach() * gradients[name] for name, weight in weights.items()}


_OF_WEIGHTS = {"snip": snip_scores, "grasp": grasp_scores, "grasp_text": signed_scores}
_OF_OUTPUTS = {"kl": kl_scores, "cka": cka_scores, "expectabs": expectabs_scores, "hrank": hrank_scores}
_FORWARD = 1 / 3  # of a training step


def score_blocks(
    criterion: Criterion,
    model: nn.Module,
    blocks: Sequence[str],
    images: Tensor,
    labels: Tensor,
    *,
    seed: int,
    aggregation: str = "sum",
    batch_size: int = 256,
    batch_statistics: bool = True,
) -> BlockScores:
    """Score residual blocks that could be removed.

    Args:
        criterion: see ``LayerOptions``.
        model: pixels in [0, 1] -> logits; stays as it is.
        blocks: names of blocks with an identity shortcut; their order changes no score.
        images: [N, C, H, W] on the model's device.
        labels: int64 [N].
        seed: determines ``random``.
        aggregation: of the weights' scores, ``sum`` or ``mean``.
        batch_size: images at once.
        batch_statistics: as in ``LayerOptions``.

    Returns:
        Higher = keep, by name of the block.

    Raises:
        TicketError: a score is not finite, or all are equal and rank nothing.
    """
    if criterion == "random":
        scores = {block: _draw(seed, block) for block in blocks}
    elif criterion in _OF_WEIGHTS:
        score = _OF_WEIGHTS[criterion]
        weights = score(model, images, labels, batch_size=batch_size, batch_statistics=batch_statistics)
        scores = {block: aggregate(model, block, weights, aggregation) for block in blocks}
    else:
        by_batch = batch_statistics and not _has_averages(model)
        scores = _OF_OUTPUTS[criterion](model, blocks, images, batch_size=batch_size, by_batch=by_batch)
    _check_scores(criterion, model, scores)
    return scores


def try_criterion(
    criterion: Criterion, trial: Trial, blocks: Sequence[str], *, batch_statistics: bool
) -> None:
    """Score blocks once before anything runs; nothing is ranked, as fresh weights may give equal scores.

    Raises:
        UnfitError: the network cannot be scored.
    """
    if criterion in _OF_WEIGHTS:
        trial.try_scores(criterion, _OF_WEIGHTS[criterion], batch_statistics=batch_statistics)
    elif criterion != "random":
        score = partial(_OF_OUTPUTS[criterion], batch_size=len(trial.images), by_batch=batch_statistics)
        try:
            trial.attempt(
                f"layer {criterion} {batch_statistics}", lambda: score(trial.model, blocks, trial.images)
            )
        except UnfitError as error:
            raise UnfitError(f"criterion {criterion} cannot rank the blocks: {error}") from error


def count_passes(criterion: Criterion, blocks: int) -> float:
    """Return the cost of scoring that many blocks, in passes of a training step over the images."""
    if criterion in ("kl", "cka"):
        return (1 + blocks) * _FORWARD
    if criterion in ("expectabs", "hrank"):
        return _FORWARD
    return {"snip": 1.0, "grasp_text": 1.0, "grasp": 3.0, "random": 0.0}[criterion]


def aggregate(model: nn.Module, block: str, scores: Mapping[str, Tensor], aggregation: str) -> float:
    """Return the sum, or the mean, of the scores of the weights of a block's convolutions, in float64."""
    layers = model.get_submodule(block).named_modules()
    names = [f"{block}.{name}.weight" for name, layer in layers if isinstance(layer, nn.Conv2d)]
    convolutions = [name for name in names if name in scores]  # a parametrised one has no weight to score
    total = math.fsum(_sum_up([scores[name] for name in convolutions]))
    count = sum(scores[name].numel() for name in convolutions)
    return total / count if aggregation == "mean" and count else total


def _sum_up(scores: Sequence[Tensor]) -> list[float]:
    """Return the sum of each, in float64, which mps does not have; one wait for all."""
    wide = [(score.cpu() if score.device.type == "mps" else score).double().sum() for score in scores]
    return torch.stack(wide).tolist() if wide else []


def _draw(seed: int, block: str) -> float:
    # A generator for each block, so that no score depends on which others are drawn.
    generator = make_generator(seed, "layer", block)
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _has_averages(model: nn.Module) -> bool:
    counts = [module.num_batches_tracked for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    known = [count for count in counts if count is not None]
    return len(known) == len(counts) and (not known or bool(torch.stack(known).gt(0).all()))


def _check_scores(criterion: Criterion, model: nn.Module, scores: BlockScores) -> None:
    for block, score in scores.items():
        if not math.isfinite(score):
            raise TicketError(f"the {criterion} score of {block} is {score}, which cannot be ranked")
    if len(scores) > 1 and len(set(scores.values())) == 1:
        reason = (
            ", because the last batch norm of every block has gamma 0 (zero-init residual), so no block "
            "does anything yet; set state to rewind or final"
            if all(_is_silent(model, block) for block in scores)
            else ", so no block is the least important"
        )
        raise TicketError(f"the {criterion} scores of all {len(scores)} blocks are equal{reason}")


def _is_silent(model: nn.Module, block: str) -> bool:
    norm = last_norm(model, block)
    return norm is not None and not bool(model.get_parameter(f"{norm}.weight").count_nonzero())
