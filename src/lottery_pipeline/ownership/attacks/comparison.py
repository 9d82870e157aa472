"""The published signature beside ours: the same ticket with a QR code in its mask, trained alike."""

import torch

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.ownership.attacks.trials import QrVictim
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.qr_code import make_symbol
from lottery_pipeline.ownership.qr_signature import embed_symbol
from lottery_pipeline.ownership.signing import find_start
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe


def train_compared(
    ticket: Ticket,
    dense: DenseRun,
    images: ImageSplits,
    recipe: Recipe,
    text: str,
    *,
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
) -> tuple[Ticket, QrVictim | None]:
    """Train the unsigned ticket, with a QR code in its mask if there is room for one.

    A code needs some 420 kernels that are on in a layer of 29 x 29 channels or more, so very sparse tickets
    have none.

    Args:
        ticket: not signed, ``kind="ticket"``.
        dense: knows the start weights of what the ticket has pruned.
        images: those it was made from.
        recipe: of the training.
        text: of the code.
        seed: of the edits and of the training.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save and resume from.

    Returns:
        The trained ticket without our mark, and what attacks are run on beside ours; None without room.
    """
    symbol = make_symbol(text)
    try:
        signed = embed_symbol(ticket.masks, symbol, seed=seed)
    except OwnershipError:
        signed = None
    masks = ticket.masks if signed is None else signed.masks
    start = find_start(ticket, dense)
    both = {name: torch.where(mask, ticket.state[name], start[name]) for name, mask in ticket.masks.items()}
    marked = make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=masks,
        state={**ticket.state, **both},
        seed=seed,
        rewind_step=ticket.header.rewind_step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents=ticket.header.parents,
        allow_factory=ticket.allow_factory,
    )
    trained = retrain_ticket(
        marked, images, recipe, seed=seed, device=device, checkpoints=checkpoints, label="compared retraining"
    ).ticket
    if signed is None:
        return trained, None
    return trained, QrVictim(Victim(trained, images, recipe, seed, device), symbol, signed.position, text)
