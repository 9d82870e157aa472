"""Altered tickets: what each sanity check changes (specs/extraction.md 4.5)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from lottery_pipeline import __version__
from lottery_pipeline.evaluation.corruption import corrupt_images, halve_images
from lottery_pipeline.evaluation.inversion import invert_masks
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import SanityCheck
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Extraction
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.sparsity.shuffling import count_moved, shuffle_masks
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord, OnRecord, State


@dataclass(frozen=True)
class Subject:
    """What is checked, and how; nothing here changes. The fields are arguments of ``check_sanity``."""

    method: str
    extract: Callable[..., Extraction]
    options: Any
    images: ImageSplits
    dense: DenseRun
    recipe: Recipe
    device: str
    checkpoints: Checkpoints | None
    on_record: OnLabelledRecord | None
    allow_factory: str | None

    @property
    def fingerprint(self) -> str:
        """Of the file of rows."""
        record = {"computation": "sanity", "version": __version__, "images": self.images.fingerprint}
        return fingerprint(record | {"recipe": self.recipe.record()})

    def identify(self, name: str) -> str:
        """Return the fingerprint of one row in that file."""
        record = {"dense": self.dense.fingerprint, "method": self.method, "row": name}
        return fingerprint(record | {"options": self.options.model_dump(mode="json")})

    def search(self, images: ImageSplits, dense: DenseRun, **changes: Any) -> Extraction:
        """Search for a ticket, with changes to the options."""
        return self.extract(
            images,
            dense,
            self.recipe,
            seed=self.dense.seed,
            options=self.options.model_copy(update=changes),
            device=self.device,
            checkpoints=self.checkpoints,
            allow_factory=self.allow_factory,
        )


def alter_ticket(subject: Subject, found: Extraction, check: SanityCheck) -> tuple[Ticket, int]:
    """Change a ticket as a check wants it.

    Args:
        subject: what is checked.
        found: its ticket.
        check: which change.

    Returns:
        The changed ticket and the number of places where it differs: mask positions, or for ``reinitialise``
        kept weights.

    Raises:
        TicketError: nothing of the ticket itself can be changed; the same mask from other images is a result.
    """
    ticket = found.ticket
    seed = derive_seed(subject.dense.seed, "sanity", check)
    masks, step = ticket.masks, ticket.header.rewind_step
    if check == "reinitialise":
        model = build_model(ticket.header.spec, seed=seed, allow_factory=subject.allow_factory)
        state, step = model.state_dict(), 0
    else:
        state = _unmask(subject, ticket)
    if check == "shuffle":
        masks = shuffle_masks(ticket.masks, seed=seed, how="layer")
    elif check == "inversion":
        masks = _invert(subject, found, seed)
    elif check == "corrupted_data":
        masks = _search_elsewhere(subject, found, corrupt_images(subject.images, seed=seed))
    elif check == "half_data":
        masks = _search_elsewhere(subject, found, halve_images(subject.images, seed=seed))
    changed = make_ticket(
        method=subject.method,
        spec=ticket.header.spec,
        masks=masks,
        state=state,
        seed=ticket.header.seed,
        rewind_step=step,
        parents=ticket.header.parents,
        allow_factory=subject.allow_factory,
    )
    count = count_moved(ticket.masks, masks)
    if check == "reinitialise":
        count = sum(int((changed.state[name] != ticket.state[name]).count_nonzero()) for name in masks)
    if count == 0 and check not in ("corrupted_data", "half_data"):
        raise TicketError(
            f"the sanity check {check} would change nothing of the {ticket.method} ticket, which keeps "
            f"{ticket.kept} of {ticket.prunable} weights; choose another density or leave the check out"
        )
    return changed, count


def _unmask(subject: Subject, ticket: Ticket) -> State:
    """Return the start weights of the ticket without its mask."""
    dense = subject.dense
    start = dense.rewind if ticket.header.rewind_step else dense.initial
    if all(torch.equal(start[name][mask], ticket.state[name][mask]) for name, mask in ticket.masks.items()):
        return {**ticket.state, **{name: start[name] for name in ticket.masks}}
    # A method may start from weights of its own making: the ticket of density 1 has them all.
    return subject.search(subject.images, dense, density=1.0).ticket.state


def _invert(subject: Subject, found: Extraction, seed: int) -> Masks:
    if found.scores is not None:
        return invert_masks(found.ticket.masks, found.scores, seed=seed)
    # IMP ranks anew in every round: these are the weights that its first round removes first.
    scores = {name: subject.dense.final[name].abs() for name in found.ticket.masks}
    return invert_masks(keep_top_k(scores, found.ticket.kept), scores, seed=seed)


def _search_elsewhere(subject: Subject, found: Extraction, other: ImageSplits) -> Masks:
    """Return the mask that the method finds on other images, from the same theta_0."""
    if found.ladder is not None:  # the search trains, and so has the dense run behind it
        dense = pretrain_again(
            subject.dense,
            subject.images,
            other=other,
            device=subject.device,
            checkpoints=subject.checkpoints,
            allow_factory=subject.allow_factory,
        )
    else:
        own = fingerprint({"dense": subject.dense.fingerprint, "images": other.fingerprint})
        dense = replace(subject.dense, images_fingerprint=other.fingerprint, fingerprint=own)
    return subject.search(other, dense).ticket.masks


def pretrain_again(
    dense: DenseRun,
    images: ImageSplits,
    *,
    seed: int | None = None,
    other: ImageSplits | None = None,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnRecord | None = None,
    allow_factory: str | None = None,
) -> DenseRun:
    """Train the network of a dense run again, with another seed or on other images.

    Args:
        dense: its specification, its recipe and the epoch of its rewind point are taken.
        images: those it was trained on.
        seed: by default its own.
        other: images to train on; by default the same.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: to survive interruptions.
        on_record: called with every history row.
        allow_factory: the trusted ``package.module:factory``, where the model is one.
    """
    return pretrain(
        other or images,
        dense.spec,
        dense.recipe,
        rewind_epoch=dense.rewind_step / dense.recipe.steps_per_epoch(len(images.train)),
        seed=dense.seed if seed is None else seed,
        device=device,
        checkpoints=checkpoints,
        on_record=on_record,
        allow_factory=allow_factory,
    )
