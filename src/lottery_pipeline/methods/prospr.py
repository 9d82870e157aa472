"""ProsPr (Alizadeh et al., ICLR 2022): keep the weights that matter for the loss after the first steps."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options import ProsprOptions
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.calibration import take_pixels
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.search.scoring import Loss, check_labels, copied_tensors, differentiate
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.tickets.errors import TicketError

Batch = tuple[Tensor, Tensor | None]


def prospr_scores(
    model: nn.Module,
    batches: Sequence[Batch],
    *,
    ignore_layers: Iterable[str] = (),
    learning_rate: float = 0.5,
    momentum: float = 0.9,
    first_order: bool = False,
    loss: Loss = cross_entropy,
) -> Scores:
    """Score weights by |dL(theta_M) / dc| at c = 1, where theta_M is theta_0 c after M steps of SGD.

    Every parameter that can be trained takes part in the steps; c gates the prunable weights alone. Batch
    norm normalises by the batch. All M steps are differentiated through, so their graphs are in memory
    together. Deviation: the authors' code treats the first step of the momentum as a constant; here it has
    its gradient like the others.

    Args:
        model: pixels in [0, 1] -> logits; stays as it is.
        batches: M + 1 pairs of images [N, C, H, W] and labels [N] on the model's device: one for each step,
            the last for L. With M = 0 the scores are those of SNIP.
        ignore_layers: patterns of layers that are never pruned.
        learning_rate: of the steps.
        momentum: of the steps.
        first_order: treat the gradient of every step as a constant: cheaper, but another ranking.
        loss: (logits, labels) -> mean over the images it is given.

    Returns:
        Higher = keep; 0 or more, by name of the prunable parameters, on the model's device.

    Raises:
        TicketError: there is no batch, or one without labels.
        ModelError: nothing is left to prune.
    """
    if not batches:
        raise TicketError("ProsPr needs at least one batch, the one for its loss")
    with copied_tensors(model, None, ignore_layers, by_batch=True) as (weights, others):
        gates = {name: torch.ones_like(weight, requires_grad=True) for name, weight in weights.items()}
        parameters = {name: weight.detach() * gates[name] for name, weight in weights.items()}
        for name, parameter in model.named_parameters():
            if name in others and parameter.requires_grad:
                parameters[name] = others.pop(name).requires_grad_()
        velocities = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}

        def measure(images: Tensor, labels: Tensor | None) -> Tensor:
            targets = check_labels("ProsPr", images, labels)
            return loss(functional_call(model, {**others, **parameters}, (images,)), targets)

        *inner, last = batches
        for images, labels in inner:
            gradients = differentiate(measure(images, labels), parameters, create_graph=not first_order)
            for name, gradient in gradients.items():
                velocities[name] = momentum * velocities[name] + gradient
                parameters[name] = parameters[name] - learning_rate * velocities[name]
        return {name: gradient.abs() for name, gradient in differentiate(measure(*last), gates).items()}


def draw_batches(
    images: ImageSet, *, count: int, batch_size: int, seed: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Draw batches as a training would, pass after pass in a new order, but without augmentation."""
    size = min(batch_size, len(images))
    generator = make_generator(seed, "prospr")
    passes = math.ceil(count * size / len(images))
    order = torch.cat([torch.randperm(len(images), generator=generator) for _ in range(passes)])
    return [take_pixels(images, part, device) for part in order[: count * size].split(size)]


def extract_prospr(search: Search, options: ProsprOptions) -> Extraction:
    """Find a ticket by ProsPr on batches of training images; errors are those of ``extract_by_scores``.

    A step that is differentiated through costs two passes over its batch; a first-order step and the loss
    cost one each.
    """
    batches = draw_batches(
        search.images.train,
        count=options.steps + 1,
        batch_size=options.batch_size,
        seed=search.seed,
        device=search.place,
    )

    def score(model: nn.Module, *, ignore_layers: Iterable[str], **_: Masks) -> Scores:
        return prospr_scores(
            model,
            batches,
            ignore_layers=ignore_layers,
            learning_rate=options.learning_rate,
            momentum=options.momentum,
            first_order=options.first_order,
        )

    passes = options.steps * (1 if options.first_order else 2) + 1
    return extract_by_scores("prospr", score, search, options, images_per_round=passes * len(batches[0][1]))


def check_prospr(outlook: Outlook, options: ProsprOptions) -> None:
    """Score the network after one step, before anything runs; ``UnfitError``."""

    def score(model: nn.Module, images: Tensor, labels: Tensor, **arguments: Any) -> Scores:
        return prospr_scores(model, [(images, labels)] * 2, **arguments)

    if outlook.trial is not None:
        outlook.trial.try_scores("prospr", score, first_order=options.first_order)
