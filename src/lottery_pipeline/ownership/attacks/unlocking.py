"""A21: what a thief makes of a locked ticket without its key (scheme V1 of arXiv 2111.00162).

The lock is worth what training the locked part falls short of training the whole. A small gap means that the
mask needs no key. The thief is granted the dense network's start weights, also where the key is missing, so a
gap is the least that the key is worth.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.locking import Score, lock_masks, merge_masks, open_key, seal_key
from lottery_pipeline.ownership.path_scores import Link, find_links
from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator
from lottery_pipeline.search.calibration import draw_calibration
from lottery_pipeline.sparsity.masks import Masks, count_kept
from lottery_pipeline.sparsity.selection import Scores, keep_top_k
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.recipe import Recipe

Row = dict[str, Any]
Kind: TypeAlias = Literal[
    "right key", "locked only", "random key", "largest weights", "largest gradients", "other start"
]

KINDS: tuple[Kind, ...] = get_args(Kind)
SHARES = (0.01, 0.05, 0.1, 0.15)
_IMAGES_PER_CLASS = 20


def try_unlocking(
    ticket: Ticket,
    dense_state: Mapping[str, Tensor],
    images: ImageSplits,
    recipe: Recipe,
    *,
    seed: int,
    share: float,
    kinds: Sequence[Kind] = KINDS,
    score: Score = "omp",
    device: str = "auto",
) -> list[Row]:
    """Lock a ticket, and train what can be had with the key and without it.

    - ``right key``: the two parts put together, through a sealed key file.
    - ``locked only``: the locked part as it is.
    - ``random key``: as many random weights as the key has.
    - ``largest weights``: as many of the largest start weights that the locked part lacks.
    - ``largest gradients``: as many of the weights on which the loss of the locked network pulls hardest, as
      regrowth methods choose them (arXiv 1911.11134).
    - ``other start``: the locked part from other start weights.

    Args:
        ticket: not signed, ``kind="ticket"``.
        dense_state: of the dense network at the ticket's start.
        images: those the ticket was made from.
        recipe: of the training.
        seed: of the training and of everything that is drawn.
        share: of the ticket's weights that are put into the key.
        kinds: of tries; the one with the right key is always made, since gaps refer to it.
        score: by which the key is chosen; see ``lock_masks``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Returns:
        A row for each kind, that of the right key first: ``kind``, ``share``, ``score``, ``kept``,
        ``accuracy`` on the test images, ``gap`` to the right key, and ``restored``: whether the masks are
        those of the ticket, bit by bit.

    Raises:
        OwnershipError: a kind is unknown, or the masks cannot be locked.
        TicketError: ticket and images do not belong together.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise OwnershipError(f"{unknown[0]!r} is not a way to unlock; choose from {', '.join(KINDS)}")
    locked, restored = _pass_through_lock(ticket, dense_state, seed=seed, share=share, score=score)
    size = count_kept(ticket.masks) - count_kept(locked)
    rows: list[Row] = []
    for kind in ("right key", *(kind for kind in kinds if kind != "right key")):
        masks, state = restored, dict(dense_state)
        if kind != "right key":
            masks = _guess(kind, ticket, locked, dense_state, images, size=size, seed=seed)
        if kind == "other start":
            fresh = derive_seed(seed, "A21", "other start")
            state = build_model(
                ticket.header.spec, seed=fresh, allow_factory=ticket.allow_factory
            ).state_dict()
        tried = _with_masks(ticket, masks, state)
        trained = retrain_ticket(
            tried, images, recipe, seed=seed, device=device, label=f"attack A21, {kind}"
        ).ticket
        place = pick_device(device)
        accuracy = evaluate(trained.build(place), images.test, device=place)["accuracy"]
        rows.append(
            {
                "kind": kind,
                "share": share,
                "score": score,
                "kept": trained.kept,
                "accuracy": accuracy,
                "gap": (rows[0]["accuracy"] if rows else accuracy) - accuracy,
                "restored": all(torch.equal(masks[name], mask) for name, mask in ticket.masks.items()),
            }
        )
    return rows


def _pass_through_lock(
    ticket: Ticket, dense_state: Mapping[str, Tensor], *, seed: int, share: float, score: Score
) -> tuple[Masks, Masks]:
    """Return the locked masks, and those that the sealed key makes of them."""
    links = None
    if score in ("ewp", "betweenness"):
        links = _find_links(ticket)
    key, locked = lock_masks(ticket.masks, dense_state, score=score, share=share, links=links, seed=seed)
    user_key = hashlib.sha256(f"A21/{seed}".encode()).digest()
    shapes = {name: tuple(mask.shape) for name, mask in ticket.masks.items()}
    opened = open_key(seal_key(key, ticket.masks, user_key), user_key, shapes)
    return locked, merge_masks(locked, opened)


def _find_links(ticket: Ticket) -> list[Link]:
    model = ticket.build()
    assert isinstance(model, Classifier)  # noqa: S101
    return find_links(model)


def _guess(
    kind: str,
    ticket: Ticket,
    locked: Masks,
    dense_state: Mapping[str, Tensor],
    images: ImageSplits,
    *,
    size: int,
    seed: int,
) -> Masks:
    """Return the masks with which a thief trains."""
    if kind in ("locked only", "other start"):
        return locked
    if kind == "random key":
        generator = make_generator(seed, "A21", "random key")
        scores: Scores = {name: torch.rand(mask.shape, generator=generator) for name, mask in locked.items()}
    elif kind == "largest weights":
        scores = {name: dense_state[name].abs() for name in locked}
    else:
        scores = _pull(_with_masks(ticket, locked, dense_state), images, seed=seed)
    grown = keep_top_k(scores, size, within={name: ~mask for name, mask in locked.items()})
    return {name: mask | grown[name] for name, mask in locked.items()}


def _pull(locked: Ticket, images: ImageSplits, *, seed: int) -> Scores:
    """Return the size of the gradient of every weight of the locked network, pruned ones included."""
    pixels, labels = draw_calibration(
        images, per_class=_IMAGES_PER_CLASS, seed=seed, device=torch.device("cpu")
    )
    model = locked.build().train()
    weights = {name: model.get_parameter(name) for name in locked.masks}
    loss = F.cross_entropy(model(pixels), labels)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return {name: gradient.abs() for name, gradient in zip(weights, gradients, strict=True)}


def _with_masks(ticket: Ticket, masks: Masks, state: Mapping[str, Tensor]) -> Ticket:
    return make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=masks,
        state=state,
        seed=ticket.header.seed,
        rewind_step=ticket.header.rewind_step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents=ticket.header.parents,
        allow_factory=ticket.allow_factory,
    )
