"""Transfer: a SuperTicket found for one task becomes a ticket for another (arXiv 2207.03677).

The backbone keeps its architecture, its weights and its masks; the network gets outputs for the target. The
authors move a ticket together with a head that was trained on the target. Here nothing of the target is known
before the training: a head is fresh, or it comes along from the source.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.config import Head
from lottery_pipeline.models.supernet.layout import lay_out
from lottery_pipeline.options.supertickets_transfer import TransferHead
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.sparsity.shuffling import shuffle_masks
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, make_ticket

BACKBONE = ("network.stem", "network.stages")
HEAD = "network.head"


def transfer_ticket(
    ticket: Ticket, images: ImageSplits, *, head: TransferHead, seed: int, fresh_head: Head | None = None
) -> Ticket:
    """Make a ticket for other images, or for another task on the same, from a SuperTicket.

    Args:
        ticket: found or trained; stays as it is.
        images: the target: of the size and the channels of the ticket's images.
        head: ``fresh``: a whole head for the target, with new weights and without a mask. ``carry``: the
            ticket's head and its masks. The last layer is always new and without a mask.
        seed: of the run; new weights are drawn with a seed derived from it.
        fresh_head: widths of a fresh head; by default those of the ticket's supernet if it is for the same
            task, else the standard ones.

    Returns:
        A ticket that starts from step 0. Its parent ``source`` is the given one. Pixels are normalised with
        the statistics of the target.

    Raises:
        TicketError: the ticket is not one of a supernet, the images have another shape, or the head cannot be
            carried to their task.
    """
    spec = _move_spec(ticket.header.spec, images, head, fresh_head)
    model = build_model(spec, seed=derive_seed(seed, "transfer", images.task))
    carried = _inside(head)
    state = {
        name: ticket.state[name] if name.startswith(carried) else value
        for name, value in model.state_dict().items()
    }
    masks = {
        name: ticket.masks[name] if name.startswith(carried) else torch.ones_like(weight, dtype=torch.bool)
        for name, weight in prunable_parameters(model, spec.ignore_layers).items()
    }
    return make_ticket(
        method=ticket.method,
        spec=spec,
        masks=masks,
        state=state,
        seed=seed,
        rewind_step=0,
        parents={"images": images.fingerprint, "source": ticket.fingerprint},
    )


def draw_control(
    moved: Ticket, kind: str, *, unmasked: Mapping[str, Tensor], head: TransferHead, seed: int
) -> Ticket:
    """Make what a moved ticket must beat, with the architecture of the moved ticket.

    Args:
        moved: what ``transfer_ticket`` made.
        kind: ``reinitialised`` keeps the masks and draws fresh weights. ``random_mask`` keeps the weights and
            shuffles the masks in each layer. ``dense`` draws fresh weights and has no masks.
        unmasked: for ``random_mask``, the weights of the source before its last pruning (the state of its
            ladder): a shuffled mask keeps weights that the source's mask has set to 0.
        head: as it was moved.
        seed: of the run.

    Raises:
        TicketError: there is no such control here; ``direct`` is a search of its own.
    """
    spec, draw = moved.header.spec, derive_seed(seed, "transfer control", kind)
    masks, state = moved.masks, moved.state
    if kind == "random_mask":
        masks = shuffle_masks(masks, seed=draw, how="layer")
        carried = _inside(head)
        state = state | {name: unmasked[name] for name in masks if name.startswith(carried)}
    elif kind in ("reinitialised", "dense"):
        state = build_model(spec, seed=draw).state_dict()
        if kind == "dense":
            masks = {name: torch.ones_like(mask) for name, mask in masks.items()}
    else:
        raise TicketError(f"a control of a moved ticket is reinitialised, random_mask or dense, not {kind!r}")
    return make_ticket(
        method=moved.method,
        spec=spec,
        masks=masks,
        state=state,
        seed=seed,
        rewind_step=0,
        parents=moved.header.parents,
    )


def _inside(head: TransferHead) -> tuple[str, ...]:
    """Return how the names of carried tensors begin."""
    return tuple(f"{name}." for name in (*BACKBONE, *((HEAD,) if head == "carry" else ())))


def _move_spec(
    spec: ModelSpec, images: ImageSplits, head: TransferHead, fresh_head: Head | None
) -> ModelSpec:
    """Return the ticket's network with outputs for the images, and a whole head unless it is carried."""
    if spec.supernet is None:
        raise TicketError(f"only a ticket of a supernet can move to another task; this one is a {spec.name}")
    for name in ("channels", "image_size"):
        has, wanted = getattr(spec, name), getattr(images, name)
        if has != wanted:
            raise TicketError(f"the ticket is for images with {name} {has}, but the target has {wanted}")
    source = spec.supernet.head.task
    if head == "carry" and source != images.task and "classification" in (source, images.task):
        raise TicketError(
            f"the head of {source} fits no network for {images.task}; only segmentation and keypoints have "
            "heads of the same shapes"
        )
    if head == "carry":
        fresh_head = spec.supernet.head.model_copy(update={"task": images.task})
    fresh_head = fresh_head or spec.supernet.for_task(images.task).head
    supernet = spec.supernet.model_copy(update={"head": fresh_head})
    own = {block.name: block for block in lay_out(spec.supernet, spec.image_size, spec.architecture).values()}
    whole = list(lay_out(supernet, spec.image_size).values())
    blocks = [own[block.name] if block.name.startswith(_inside(head)) else block for block in whole]
    return spec.model_copy(
        update={
            "num_classes": images.num_classes,
            "mean": images.mean,
            "std": images.std,
            "supernet": supernet,
            # The full network has one specification only.
            "architecture": () if blocks == whole else tuple(block.widths() for block in blocks),
        }
    )
