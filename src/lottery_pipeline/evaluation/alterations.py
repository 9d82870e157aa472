"""Altered tickets: what each sanity check changes.

Shuffled masks and fresh weights are those of Frankle et al. (ICLR 2021), corrupted and halved images those of
Su et al. (NeurIPS 2020). Inversion keeps as many weights as before, but those of lowest score.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from lottery_pipeline.evaluation.corruption import corrupt_images, halve_images
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import SanityCheck
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.sparsity.masks import Masks, count_kept
from lottery_pipeline.sparsity.selection import Scores, keep_top_k
from lottery_pipeline.sparsity.shuffling import count_moved, shuffle_masks
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun, pretrain, redraw_theta_0
from lottery_pipeline.training.result import OnRecord, State

Find = Callable[..., Extraction]  # find(search, **changes of the options)


def alter_ticket(search: Search, find: Find, found: Extraction, check: SanityCheck) -> tuple[Ticket, int]:
    """Change a ticket as a check requires.

    Args:
        search: what the ticket was found with.
        find: the method; called as ``find(search, **changes)`` with changes to its options.
        found: what it found.
        check: which change.

    Returns:
        The changed ticket and the number of places where it differs: mask positions, or for ``reinitialise``
        kept weights.

    Raises:
        TicketError: nothing of the ticket itself can be changed; finding the same mask on other images is not
            an error.
    """
    ticket = found.ticket
    seed = derive_seed(search.seed, "sanity", check)
    masks, step = ticket.masks, ticket.header.rewind_step
    if check == "reinitialise":
        model = build_model(ticket.header.spec, seed=seed, allow_factory=search.allow_factory)
        state, step = model.state_dict(), 0
    else:
        state = _unmask(search, find, ticket)
    if check == "shuffle":
        masks = shuffle_masks(ticket.masks, seed=seed, how="layer")
    elif check == "inversion":
        masks = _invert(search, found, seed)
    elif check == "corrupted_data":
        masks = _search_elsewhere(search, find, found, corrupt_images(search.images, seed=seed))
    elif check == "half_data":
        masks = _search_elsewhere(search, find, found, halve_images(search.images, seed=seed))
    changed = make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=masks,
        state=state,
        seed=ticket.header.seed,
        rewind_step=step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents=ticket.header.parents,
        allow_factory=search.allow_factory,
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


def _unmask(search: Search, find: Find, ticket: Ticket) -> State:
    """Return the start weights of the ticket without its mask."""
    dense = search.dense
    start = dense.rewind if ticket.header.rewind_step else dense.initial
    if all(torch.equal(start[name][mask], ticket.state[name][mask]) for name, mask in ticket.masks.items()):
        return {**ticket.state, **{name: start[name] for name in ticket.masks}}
    # A method may change the weights it starts from: its ticket of density 1 has them all.
    return find(search, density=1.0).ticket.state


def _invert(search: Search, found: Extraction, seed: int) -> Masks:
    if found.scores is not None:
        return invert_masks(found.ticket.masks, found.scores, seed=seed)
    # IMP ranks again in every round; these are the weights that its first round removes first.
    scores = {name: search.dense.final[name].abs() for name in found.ticket.masks}
    return invert_masks(keep_top_k(scores, found.ticket.kept), scores, seed=seed)


def _search_elsewhere(search: Search, find: Find, found: Extraction, other: ImageSplits) -> Masks:
    """Return the mask that the method finds on other images, from the same theta_0."""
    if found.ladder is not None:  # the search trains, and so does the dense run it starts from
        dense = pretrain_again(
            search.dense,
            search.images,
            other=other,
            device=search.device,
            checkpoints=search.checkpoints,
            allow_factory=search.allow_factory,
        )
    else:
        own = fingerprint({"dense": search.dense.fingerprint, "images": other.fingerprint})
        dense = replace(search.dense, images_fingerprint=other.fingerprint, fingerprint=own)
    return find(replace(search, images=other, dense=dense)).ticket.masks


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
        dense: its specification, its recipe and the epoch of its rewind point are used.
        images: those it was trained on.
        seed: by default its own. Weights that a user has brought are the same for every seed.
        other: images to train on; by default the same.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: to survive interruptions.
        on_record: called with every history row.
        allow_factory: the trusted ``package.module:factory``, if the model is one.
    """
    chosen = dense.seed if seed is None else seed
    return pretrain(
        other or images,
        dense.spec,
        dense.recipe,
        rewind_epoch=dense.rewind_step / dense.recipe.steps_per_epoch(len(images.train)),
        seed=chosen,
        device=device,
        checkpoints=checkpoints,
        on_record=on_record,
        allow_factory=allow_factory,
        initial=redraw_theta_0(dense, chosen, allow_factory=allow_factory),
        weights=dense.weights,
    )


def invert_masks(masks: Masks, scores: Scores, *, seed: int) -> Masks:
    """Keep the weights of lowest score: over all layers or inside each, as the masks were made.

    Args:
        masks: made from the scores; left as they are.
        scores: higher = keep; on the CPU.
        seed: determines the order of equal scores. Many weights often share the lowest score, 0 or -inf;
            taken by index, they would all be in the first layers.

    Returns:
        Masks that keep as many weights. They keep the same ones only if half or more are kept, or if scores
        are equal.
    """
    kept = count_kept(masks)
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    order = torch.randperm(len(flat), generator=make_generator(seed, "ties"))
    order = order[flat[order].argsort(stable=True)]  # lowest score first
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(flat), 0, -1)
    parts = ranks.split([score.numel() for score in scores.values()])
    inverted = {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
    if count_moved(masks, keep_top_k(scores, kept)):
        counts = {name: int(mask.count_nonzero()) for name, mask in masks.items()}
        return keep_top_k(inverted, counts, scope="layer")
    return keep_top_k(inverted, kept)
