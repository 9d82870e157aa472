"""The attack that copies behaviour: a new network learns the answers of the stolen one."""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.ownership.attacks.training import answer, descend, settle, train_on
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator
from lottery_pipeline.sparsity.masks import Masks, apply_masks_, count_prunable
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.loop import train


def extract_student(
    victim: Victim,
    *,
    labels: Literal["hard", "soft"],
    queries: int,
    architecture: str | None = None,
    sparse: bool = False,
) -> nn.Module:
    """A22: train a fresh network on the stolen network's answers (Orekondy et al., arXiv 1812.02766).

    The student trains by the original recipe. A sparse one is then pruned by magnitude to the density of the
    ticket and trained once more.

    Args:
        victim: stays as it is; its training images are the queries, their labels are not used.
        labels: ``hard`` answers are classes, ``soft`` ones probabilities.
        queries: number of images sent, chosen at random; all of them if there are fewer.
        architecture: name of a built-in network; None takes the ticket's.
        sparse: whether the student is pruned.

    Raises:
        OwnershipError: fewer than 2 queries.
        ModelError: the architecture is unknown or does not fit the images.
    """
    if queries < 2:
        raise OwnershipError(f"queries must be at least 2, got {queries}")
    asked = _draw_queries(victim, queries)
    answers = answer(victim, asked)
    student = _build_student(victim, architecture)
    _teach(victim, student, asked, answers, labels=labels, label="A22")
    if sparse:
        weights = prunable_parameters(student)
        count = max(1, round(victim.ticket.density * count_prunable(weights)))
        masks = keep_top_k({name: weight.detach().abs() for name, weight in weights.items()}, count)
        apply_masks_(weights, masks)
        _teach(victim, student, asked, answers, labels=labels, label="A22/sparse", masks=masks)
    return student


def _draw_queries(victim: Victim, queries: int) -> ImageSet:
    train_set = victim.images.train
    order = torch.randperm(len(train_set), generator=make_generator(victim.seed, "A22", "queries"))
    chosen = order[:queries].to(train_set.labels.device)
    return train_set.select(chosen)


def _build_student(victim: Victim, architecture: str | None) -> Classifier:
    spec = victim.ticket.header.spec
    if architecture is not None:
        spec = spec.for_network(architecture)
    seed = derive_seed(victim.seed, "A22", "student")
    return build_model(spec, seed=seed, allow_factory=victim.ticket.allow_factory)


def _teach(
    victim: Victim,
    student: Classifier,
    asked: ImageSet,
    answers: Tensor,
    *,
    labels: Literal["hard", "soft"],
    label: str,
    masks: Masks | None = None,
) -> None:
    """Train the student in place, by the original recipe."""
    if labels == "hard":
        told = ImageSet(asked.images, answers.argmax(1).to(asked.labels.device))
        train(
            student,
            train_on(victim.images, told),
            victim.recipe,
            seed=derive_seed(victim.seed, label, "training"),
            masks=masks,
            device=victim.device,
            checkpoints=victim.checkpoints,
            label=f"attack {label}",
        )
        settle(student)
        return
    probabilities = answers.softmax(1).to(pick_device(victim.device))

    def loss(pixels: Tensor, numbers: Tensor) -> Tensor:
        reduction = victim.recipe.loss_reduction
        return F.cross_entropy(student(pixels), probabilities[numbers], reduction=reduction)

    # The batches shuffle images together with their labels, so the label is the number of the answer.
    numbered = ImageSet(asked.images, torch.arange(len(asked), device=asked.labels.device))
    descend(victim, student, loss, label, recipe=victim.recipe, train_set=numbered, masks=masks)
