"""Sparse retraining and evaluation: the same for every method, since all of them yield tickets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lottery_pipeline.costs.macs import count_macs, theoretical_macs, total_macs
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.randomness import derive_seed
from lottery_pipeline.sparsity.tables import dead_layers, density_table
from lottery_pipeline.tickets.extraction import check_ticket, least_validation_loss
from lottery_pipeline.tickets.ticket import Ticket, TicketError, make_ticket
from lottery_pipeline.training.checkpoints import Checkpoints
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate, recompute_batchnorm_
from lottery_pipeline.training.loop import train
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
) -> Retraining:
    """Train a ticket from its start weights, its mask on, from its rewind step to the end of the recipe.

    Args:
        ticket: ``kind="ticket"``; stays as it is.
        images: those it was made from.
        recipe: any; learning rates are those of the steps from ``ticket.header.rewind_step`` on.
        seed: of the run; data order and augmentation use ``derive_seed(seed, "retraining")``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save and to go on from.
        on_record: called with every history row.
        label: shown with the progress; the method by default.

    Raises:
        TicketError: the ticket is trained already, is of other images, or rewinds past the end of the recipe.
    """
    check_ticket(ticket, images)
    if ticket.header.kind != "ticket":
        raise TicketError("this ticket is trained already; retrain the ticket it came from")
    start, steps = ticket.header.rewind_step, recipe.total_steps(len(images.train))
    if start >= steps:
        raise TicketError(
            f"the {ticket.method} ticket starts at step {start}, but the retraining recipe ends after {steps}"
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
    )
    last = training.history[-1]
    known = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    metrics = {name: last[name] for name in known if last.get(name) is not None}
    trained = make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=ticket.masks,
        state=training.state,
        seed=seed,
        rewind_step=start,
        parents={**ticket.header.parents, "ticket": ticket.fingerprint},
        kind="trained",
        metrics={**metrics, "early_stop_step": training.early_stop_step, "epochs": training.epochs},
        allow_factory=ticket.allow_factory,
    )
    return Retraining(trained, training.history, training.epochs, training.seconds, training.early_stop_step)


def evaluate_ticket(
    trained: Ticket,
    ticket: Ticket,
    images: ImageSplits,
    dense: DenseRun,
    *,
    history: Sequence[Mapping[str, Any]],
    train_epochs: float | None = None,
    train_seconds: float | None = None,
    search_epochs: float = 0.0,
    search_seconds: float = 0.0,
    device: str = "auto",
) -> dict[str, Any]:
    """Measure a trained ticket against its dense parent: the row of the leaderboard and more.

    Args:
        trained: what ``retrain_ticket`` made of ``ticket``. Its batch-norm statistics are those of its own
            training; of an untrained ticket they are first measured anew, masks on, on training images.
        ticket: the ticket as extracted; its file size is reported.
        images: test and validation images are used.
        dense: the dense parent.
        history: of the retraining; may come out of a table.
        train_epochs: of the retraining; by default read from the trained ticket.
        train_seconds: of the retraining; by default the sum over the history.
        search_epochs: of the search.
        search_seconds: of the search.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Returns:
        The method metrics; accuracies are fractions, MACs are of one image. A masked network runs at full
        size, so ``macs_executed`` equals ``macs_dense``.

    Raises:
        TicketError: the four do not belong together.
    """
    check_ticket(ticket, images, dense)
    own = trained.header.parents.get("ticket", ticket.fingerprint)
    if own != ticket.fingerprint or trained.header.spec != ticket.header.spec:
        raise TicketError(
            f"the trained ticket comes from another {trained.method} ticket ({own[:12]}) than this one "
            f"({ticket.fingerprint[:12]}); retrain this one"
        )
    place = pick_device(device)
    model = trained.build(place)
    if trained.header.kind == "ticket":
        recompute_batchnorm_(model, images.train, device=place)
    test = evaluate(model, images.test, device=place)
    macs = count_macs(model, (images.channels, *images.image_size))
    dense_accuracy = dense.metrics["test_accuracy"]
    results = trained.header.metrics
    validation = results.get("validation_accuracy")  # as in the ladder's rows: measured by the training
    if validation is None and len(images.validation):
        validation = evaluate(model, images.validation, device=place)["accuracy"]
    return {
        "method": ticket.method,
        "seed": trained.header.seed,
        "density": ticket.density,
        "kept": ticket.kept,
        "prunable": ticket.prunable,
        "dense_accuracy": dense_accuracy,
        "test_accuracy": test["accuracy"],
        "accuracy_delta": test["accuracy"] - dense_accuracy,
        "test_loss": test["loss"],
        "validation_accuracy": validation,
        "early_stop_step": int(results.get("early_stop_step", ticket.header.rewind_step)),
        "early_stop_validation_loss": least_validation_loss(history),
        "search_epochs": search_epochs,
        "train_epochs": results.get("epochs", 0.0) if train_epochs is None else train_epochs,
        "search_seconds": search_seconds,
        "train_seconds": _sum_seconds(history) if train_seconds is None else train_seconds,
        "macs_dense": total_macs(macs),
        "macs_theoretical": theoretical_macs(macs, trained.masks),
        "macs_executed": total_macs(macs),
        "ticket_bytes": len(ticket.to_bytes()),
        "dead_layers": dead_layers(trained.masks),
        "layers": density_table(trained.masks),
        "fingerprint": trained.fingerprint,
        "dense_fingerprint": dense.fingerprint,
    }


def _sum_seconds(history: Sequence[Mapping[str, Any]]) -> float:
    return float(sum(row["seconds"] for row in history))
