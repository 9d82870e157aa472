"""Guards against mixing: images, dense run and ticket that do not belong together are refused."""

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.tasks import find_spec_task


def check_dense_run(dense: DenseRun, images: ImageSplits) -> None:
    """Refuse a dense run of other images.

    Raises:
        TicketError: it was trained on another data set; continuing would give nonsense.
    """
    if dense.images_fingerprint != images.fingerprint:
        raise TicketError(
            f"the dense run was trained on other images ({dense.images_fingerprint[:12]}) than these "
            f"({images.fingerprint[:12]}); run dense_pretraining again or choose the variant it belongs to"
        )
    check_spec(dense.spec, images, "the dense run")


def check_ticket(ticket: Ticket, images: ImageSplits, dense: DenseRun | None = None) -> None:
    """Refuse a ticket of other images, or of another dense run than the one at hand.

    Raises:
        TicketError: they do not belong together.
    """
    found = ticket.header.parents.get("images", images.fingerprint)
    if found != images.fingerprint:
        raise TicketError(
            f"the {ticket.method} ticket was made from other images ({found[:12]}) than these "
            f"({images.fingerprint[:12]}); extract it again for these images"
        )
    check_spec(ticket.header.spec, images, f"the {ticket.method} ticket")
    if dense is None:
        return
    check_dense_run(dense, images)
    own, other = ticket.header.spec.restored(), dense.spec.restored()
    if own != other and own.model_copy(update={"behaviour": other.behaviour}) == other:
        raise TicketError(
            f"the {ticket.method} ticket and the dense run are of one model, {own.name!r}, but its code has "
            "changed between them; extract the ticket again from this dense run"
        )
    if own != other:
        raise TicketError(
            f"the {ticket.method} ticket is a {ticket.header.spec.name}, but the dense run is another model "
            f"({dense.spec.name}); extract the ticket again from this dense run"
        )
    parent = ticket.header.parents.get("dense", dense.fingerprint)
    if parent != dense.fingerprint:
        raise TicketError(
            f"the {ticket.method} ticket comes from another dense run ({parent[:12]}) than this one "
            f"({dense.fingerprint[:12]}); extract it again"
        )


def check_spec(spec: ModelSpec, images: ImageSplits, owner: str) -> None:
    """Refuse a model that was built for images of another kind.

    How a network normalises pixels is its own affair: its weights may want other statistics (``model.mean``).

    Raises:
        TicketError: one of task, classes, channels and size differs.
    """
    task = find_spec_task(spec)
    if task != images.task:
        raise TicketError(f"{owner} was made for {task}, but these images are for {images.task}")
    for name in ("num_classes", "channels", "image_size"):
        has, wanted = getattr(spec, name), getattr(images, name)
        if has != wanted:
            raise TicketError(f"{owner} was made for images with {name} {has}, but these have {wanted}")
