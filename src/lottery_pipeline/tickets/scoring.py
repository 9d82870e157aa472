"""What methods share that score the weights at a start point: SNIP, GraSP, SynFlow, ProsPr, magnitude.

A score function is pure: (model, images, labels, ...) -> ``Scores``, higher = keep. It computes with copies
of the model's tensors, so that parameters, buffers, modes, ``requires_grad``, gradients and the default
random generators are afterwards as they were, also after an error.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import SaliencyOptions, StartOptions
from lottery_pipeline.randomness import make_generator
from lottery_pipeline.sparsity.masks import Masks, Weights, apply_masks_, check_masks, full_masks
from lottery_pipeline.sparsity.schedules import exponential_counts
from lottery_pipeline.sparsity.selection import Scores, keep_top_k
from lottery_pipeline.tickets.extraction import Extraction, check_dense_run, start_point
from lottery_pipeline.tickets.ticket import TicketError, make_ticket
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device, seeded
from lottery_pipeline.training.evaluation import modes_restored

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch norm normalise by the batch and leave its buffers alone; all else is in evaluation mode."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    tracking = [norm.track_running_stats for norm in norms]
    with modes_restored(model):
        try:
            for module in model.modules():
                module.training = isinstance(module, _BatchNorm)
            for norm in norms:
                norm.track_running_stats = False
            yield
        finally:
            for norm, tracked in zip(norms, tracking, strict=True):
                norm.track_running_stats = tracked


@contextmanager
def copied_tensors(
    model: nn.Module, masks: Masks | None, ignore_layers: Iterable[str], *, by_batch: bool
) -> Iterator[tuple[Weights, Weights]]:
    """Copy what a model computes with, for ``functional_call``, and set it up for scoring meanwhile.

    Args:
        model: not written to.
        masks: of the prunable weights; None keeps all.
        ignore_layers: as of ``prunable_parameters``.
        by_batch: batch norm normalises by the batch; else everything is in evaluation mode.

    Yields:
        The masked prunable weights, which require gradients; and all other parameters and the buffers.

    Raises:
        ModelError: nothing is left to prune.
        MaskError: the masks are not those of the model.
    """
    prunable = prunable_parameters(model, ignore_layers)
    weights = {name: weight.detach().clone() for name, weight in prunable.items()}
    if masks is not None:
        check_masks(masks, weights)
        apply_masks_(weights, masks)
    scored = {id(weight) for weight in prunable.values()}  # by identity: tied weights have several names
    named = [*model.named_parameters(), *model.named_buffers()]
    others = {name: tensor.detach().clone() for name, tensor in named if id(tensor) not in scored}
    device = next(iter(weights.values())).device
    # The fused kernels of attention cannot be differentiated twice.
    with modes_restored(model), seeded(device, 0), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        for module in model.modules():
            module.training = False
        with batch_statistics(model) if by_batch else nullcontext():
            yield {name: weight.requires_grad_() for name, weight in weights.items()}, others


def check_labels(method: str, images: Tensor, labels: Tensor | None) -> Tensor:
    """Return the labels, or say what is wrong with them.

    Raises:
        TicketError: there are none, or not one for each of one or more images.
    """
    if labels is None:
        raise TicketError(f"{method} needs the labels of its images, but labels is None")
    if len(images) != len(labels) or not len(images):
        raise TicketError(
            f"{method} needs one label for each of 1 or more images, got {len(labels)} for {len(images)}"
        )
    return labels


def yield_losses(
    model: nn.Module, tensors: Weights, images: Tensor, labels: Tensor, *, batch_size: int, loss: Loss
) -> Iterator[Tensor]:
    """Yield what each micro-batch contributes to the mean loss over all images.

    The micro-batches are as equal as can be, so that none is too small for batch statistics.
    """
    parts = math.ceil(len(images) / batch_size)
    for pixels, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        yield loss(functional_call(model, tensors, (pixels,)), targets) * (len(pixels) / len(images))


def differentiate(value: Tensor, weights: Weights, *, create_graph: bool = False) -> Weights:
    """Return the gradient of a scalar by name, 0 for what it does not depend on."""
    found = torch.autograd.grad(
        value, list(weights.values()), create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return dict(zip(weights, found, strict=True))


def sum_gradients(values: Iterable[Tensor], weights: Weights) -> Weights:
    """Return the gradient of the sum of scalars; only one of their graphs exists at a time."""
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for value in values:
        for name, gradient in differentiate(value, weights).items():
            total[name] += gradient
    return total


def take_pixels(images: ImageSet, indices: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return some images as pixels in [0, 1], [n, C, H, W], and their labels [n], without augmentation."""
    chosen = images.images[indices].to(device)
    return to_pixels(chosen.permute(0, 2, 3, 1)), images.labels[indices].to(device)


def draw_calibration(
    images: ImageSplits, *, per_class: int, seed: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Draw training images, the same for every method at one seed; a small class gives all it has."""
    labels = images.train.labels.cpu()
    chosen = []
    for label in range(images.num_classes):
        members = (labels == label).nonzero().squeeze(1)
        order = torch.randperm(len(members), generator=make_generator(seed, "calibration", label))
        chosen.append(members[order[:per_class]])
    indices = torch.cat(chosen)
    # Mixed, so that a micro-batch has the batch statistics of all classes and not of one.
    order = torch.randperm(len(indices), generator=make_generator(seed, "calibration", "order"))
    return take_pixels(images.train, indices[order], device)


def extract_by_gradients(
    method: str,
    score: Callable[..., Scores],
    images: ImageSplits,
    dense: DenseRun,
    options: SaliencyOptions,
    *,
    passes: float,
    seed: int,
    device: str,
    allow_factory: str | None,
) -> Extraction:
    """Make a ticket from scores of calibration images; else as ``extract_by_scores``.

    Args:
        method: its name.
        score: ``snip_scores`` or another function of the same arguments.
        images: what the dense run was trained on.
        dense: gives the start point.
        options: of the method.
        passes: cost of one round in passes, forward and backward, over the calibration images.
        seed: of the images.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        allow_factory: the trusted ``package.module:factory``, where the model is one.
    """
    chosen = pick_device(device)
    pixels, labels = draw_calibration(images, per_class=options.images_per_class, seed=seed, device=chosen)
    return extract_by_scores(
        method,
        partial(
            score,
            images=pixels,
            labels=labels,
            ignore_layers=dense.spec.ignore_layers,
            batch_size=options.batch_size,
            batch_statistics=options.batch_statistics,
        ),
        images,
        dense,
        options,
        rounds=options.rounds,
        images_per_round=passes * len(labels),
        seed=seed,
        device=device,
        allow_factory=allow_factory,
    )


def extract_by_scores(
    method: str,
    score: Callable[..., Scores],
    images: ImageSplits,
    dense: DenseRun,
    options: StartOptions,
    *,
    rounds: int = 1,
    images_per_round: float,
    seed: int,
    device: str,
    allow_factory: str | None,
) -> Extraction:
    """Make a ticket in rounds: score the masked network, keep the highest, exponentially fewer every time.

    Args:
        method: its name.
        score: called as ``score(model, masks=masks)`` with the model at the start point.
        images: what the dense run was trained on.
        dense: gives the start point.
        options: density and start point.
        rounds: n; round r leaves floor(density**(r / n) D) weights, out of those of round r - 1.
        images_per_round: cost of one round, in images that a training step goes forward and backward with.
        seed: of the run.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        allow_factory: the trusted ``package.module:factory``, where the model is one.

    Returns:
        The ticket; its trace has a row per round. ``scores`` are those of the only round; of several rounds
        they are ranks from 1, the first removed, to D: by rounds survived, then by the last score. At density
        1 nothing is scored and they are None.

    Raises:
        TicketError: the dense run is of other images.
        DensityError: the density keeps no weight.
    """
    check_dense_run(dense, images)
    started = time.perf_counter()
    step, state = start_point(dense, options.start)
    model = build_model(dense.spec, seed=0, allow_factory=allow_factory)
    model.load_state_dict(state)
    masks = full_masks(prunable_parameters(model.to(pick_device(device)), dense.spec.ignore_layers))
    prunable = sum(mask.numel() for mask in masks.values())
    counts = exponential_counts(prunable, density=options.density, rounds=rounds)
    if options.density == 1:
        counts = []
    survived = {name: mask.int() for name, mask in masks.items()}
    scores: Scores | None = None
    for kept in counts:
        fresh = score(model, masks=masks)
        last = scores or fresh
        scores = {name: fresh[name].where(mask, last[name]) for name, mask in masks.items()}
        masks = keep_top_k(scores, kept, within=masks)
        survived = {name: survived[name] + mask for name, mask in masks.items()}
    if scores is not None:
        scores = {name: value.cpu() for name, value in scores.items()}
        scores = _rank_removals(survived, scores) if rounds > 1 else scores
    ticket = make_ticket(
        method=method,
        spec=dense.spec,
        masks=masks,
        state=state,
        seed=seed,
        rewind_step=step,
        parents={"dense": dense.fingerprint, "images": images.fingerprint},
        allow_factory=allow_factory,
    )
    return Extraction(
        ticket=ticket,
        search_epochs=len(counts) * images_per_round / len(images.train),
        search_seconds=time.perf_counter() - started,
        trace=[{"round": number, "kept": kept} for number, kept in enumerate(counts, start=1)],
        scores=scores,
    )


def _rank_removals(survived: dict[str, Tensor], scores: Scores) -> Scores:
    """Rank weights by (rounds survived, score), of equals the first highest, as ``keep_top_k`` has it."""
    flat = torch.cat([value.flatten() for value in scores.values()])
    rounds = torch.cat([survived[name].cpu().flatten() for name in scores])
    order = flat.argsort(descending=True, stable=True)
    order = order[rounds[order].argsort(descending=True, stable=True)]
    ranks = torch.empty(len(flat), dtype=torch.float64)
    ranks[order] = torch.arange(len(flat), 0, -1, dtype=torch.float64)
    parts = ranks.split([value.numel() for value in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
