"""Sparse retraining: the same for every method, since all of them yield tickets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.parents import check_ticket
from lottery_pipeline.search.rewinding import find_first_step
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.recipe import Recipe


@dataclass(frozen=True)
class Retraining:
    """A trained ticket and how it was trained.

    Attributes:
        ticket: ``kind="trained"``: the same masks, the final weights.
        history: one row per evaluation.
        epochs: trained.
        seconds: of training.
        early_stop_step: step of least validation loss.
    """

    ticket: Ticket
    history: list[dict[str, Any]]
    epochs: float
    seconds: float
    early_stop_step: int

    @property
    def costs(self) -> dict[str, float]:
        """``train_epochs`` and ``train_seconds``, as ``evaluate_ticket`` takes them."""
        return {"train_epochs": self.epochs, "train_seconds": self.seconds}


def retrain_ticket(
    ticket: Ticket,
    images: ImageSplits,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: Callable[[dict[str, Any]], None] | None = None,
    label: str | None = None,
    extra: ImageSet | None = None,
    extra_per_batch: int = 0,
    margin: Margin | None = None,
    frozen_modules: Sequence[str] = (),
) -> Retraining:
    """Train a ticket from its start weights, its mask on, from its rewind point to the end of the recipe.

    Args:
        ticket: ``kind="ticket"``; stays as it is.
        images: those it was made from.
        recipe: any; learning rates are those from the epoch on that the start weights have reached.
        seed: the run's seed; data order and augmentation use ``derive_seed(seed, "retraining")``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save and resume from.
        on_record: called with every history row.
        label: shown with the progress; the method by default.
        extra: images that join every batch, for example a trigger set; see ``train``.
        extra_per_batch: how many of them join a batch.
        margin: keeps chosen weights from becoming small; see ``train``.
        frozen_modules: names of modules that stay as they are; see ``train``.

    Raises:
        TicketError: the ticket is trained already, belongs to other images, or rewinds past the end of the
            recipe.
        RecipeError: the extra images do not fit the images.
    """
    check_ticket(ticket, images)
    if ticket.header.kind != "ticket":
        raise TicketError("this ticket is trained already; retrain the ticket it came from")
    header = ticket.header
    start = find_first_step(
        ticket.method, header.rewind_step, header.steps_per_epoch, recipe, len(images.train)
    )
    training = train(
        ticket.build(),
        images,
        recipe,
        seed=derive_seed(seed, "retraining"),
        masks=ticket.masks,
        start_step=start,
        device=device,
        checkpoints=checkpoints,
        on_record=on_record,
        label=label or f"{ticket.method} retraining",
        extra=extra,
        extra_per_batch=extra_per_batch,
        margin=margin,
        frozen_modules=frozen_modules,
    )
    last = training.history[-1]
    known = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    metrics = {name: last[name] for name in known if last.get(name) is not None}
    if start != header.rewind_step:
        metrics["start_step"] = start
    trained = make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=ticket.masks,
        state=training.state,
        seed=seed,
        rewind_step=header.rewind_step,
        steps_per_epoch=header.steps_per_epoch,
        parents={**header.parents, "ticket": ticket.fingerprint},
        kind="trained",
        metrics={**metrics, "early_stop_step": training.early_stop_step, "epochs": training.epochs},
        allow_factory=ticket.allow_factory,
    )
    return Retraining(trained, training.history, training.epochs, training.seconds, training.early_stop_step)
