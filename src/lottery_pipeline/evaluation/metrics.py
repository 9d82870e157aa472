"""Evaluation of a trained ticket against its dense parent: the same for every method."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lottery_pipeline.evaluation.classes import tabulate_classes, tabulate_pixels
from lottery_pipeline.evaluation.price import Effort, price_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options import METHODS, CostOptions
from lottery_pipeline.reproducibility.measured import MEASURED
from lottery_pipeline.search.parents import check_ticket
from lottery_pipeline.sparsity.tables import dead_layers, density_table
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.arithmetic import describe_arithmetic
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import Prediction, evaluate, predict, recompute_batchnorm_
from lottery_pipeline.training.history import least_validation_loss
from lottery_pipeline.training.robust_gap import measure_robust_gap
from lottery_pipeline.training.tasks import TASKS


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
    search_parts: Sequence[Mapping[str, Any]] = (),
    device: str = "auto",
    costs: CostOptions | None = None,
) -> dict[str, Any]:
    """Measure a trained ticket against its dense parent: the row of the leaderboard and more.

    Args:
        trained: what ``retrain_ticket`` made of ``ticket``. Its batch-norm statistics are those of its own
            training; for an untrained ticket they are first recomputed on training images, masks on.
        ticket: the ticket as extracted; its file size is reported.
        images: test and validation images are used.
        dense: the dense parent.
        history: that of the retraining; may come from a table.
        train_epochs: cost of the retraining in epochs; by default read from the trained ticket.
        train_seconds: seconds of the retraining; by default the sum over the history.
        search_epochs: epochs of the search.
        search_seconds: seconds of the search.
        search_parts: name, epochs and seconds of each part of the search, and perhaps its macs, for the
            ledger.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        costs: which costs are measured; None only counts.

    Returns:
        The method metrics; accuracies are fractions, and ``density``, ``kept`` and ``prunable`` are those of
        the dense parent: a layer ticket keeps what its blocks leave. ``model`` is the network's name.
        ``found_accuracy`` is that of a SuperTicket before its retraining. Costs are those of
        ``price_ticket``. ``metric`` says what the accuracies are (accuracy, mIoU or PCK). A dense task adds
        ``test_pixel_accuracy`` or ``test_pixel_error``. ``classes`` and ``confusion`` are those of
        ``tabulate_classes`` or ``tabulate_pixels``, of the test images; points have none.
        A retraining with an adversary adds the numbers of ``measure_robust_gap``. ``arithmetic`` is that of
        ``describe_arithmetic``.
        Values from clocks and meters are in ``measured``; everything else is the same in every run.

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
    test = predict(model, images.test, device=place)
    dense_accuracy, prunable = dense.metrics["test_accuracy"], dense.metrics["prunable"]
    results = trained.header.metrics
    validation = results.get("validation_accuracy")  # as in the ladder's rows: measured by the training
    if validation is None and len(images.validation):
        validation = evaluate(model, images.validation, device=place)["accuracy"]
    train_epochs = results.get("epochs", 0.0) if train_epochs is None else train_epochs
    train_seconds = _sum_seconds(history) if train_seconds is None else train_seconds
    parts = search_parts or [{"name": ticket.method, "epochs": search_epochs, "seconds": search_seconds}]
    work = [
        *(Effort("search", p["name"], p["epochs"], p["seconds"], p.get("macs")) for p in parts),
        Effort("training", "retraining", train_epochs, train_seconds),
    ]
    price = price_ticket(trained, dense, images, work, costs, device=place)
    clock = {"search_seconds": search_seconds, "train_seconds": train_seconds}
    return {
        "method": ticket.method,
        "seed": trained.header.seed,
        "density": ticket.kept / prunable,
        "kept": ticket.kept,
        "prunable": prunable,
        "dense_accuracy": dense_accuracy,
        "test_accuracy": test.accuracy,
        "accuracy_delta": test.accuracy - dense_accuracy,
        "test_loss": test.loss,
        "metric": TASKS[images.task].metric,
        "model": ticket.header.spec.name,
        **_measure_found(ticket, images, place),
        **{f"test_{name}": value for name, value in test.scores.items() if name != "accuracy"},
        "validation_accuracy": validation,
        "early_stop_step": int(results.get("early_stop_step", ticket.header.rewind_step)),
        "early_stop_validation_loss": least_validation_loss(history),
        **measure_robust_gap(history),
        "search_epochs": search_epochs,
        "train_epochs": train_epochs,
        **price,
        "ticket_bytes": len(ticket.to_bytes()),
        "dead_layers": dead_layers(trained.masks),
        "layers": density_table(trained.masks),
        **_tabulate(test, images),
        "fingerprint": trained.fingerprint,
        "dense_fingerprint": dense.fingerprint,
        "arithmetic": describe_arithmetic(place),
        MEASURED: clock | price[MEASURED],
    }


def _measure_found(ticket: Ticket, images: ImageSplits, device: torch.device) -> dict[str, float]:
    """Return the accuracy of a ticket whose weights its search has trained; nothing of any other ticket."""
    method = METHODS.get(ticket.method)
    if method is None or not method.own_network:
        return {}
    return {"found_accuracy": predict(ticket.build(device), images.test, device=device).accuracy}


def _tabulate(test: Prediction, images: ImageSplits) -> dict[str, Any]:
    if images.task == "classification":
        return tabulate_classes(images.test.labels, test.classes, images.class_names)
    return tabulate_pixels(test.counts, images.class_names) if images.task == "segmentation" else {}


def _sum_seconds(history: Sequence[Mapping[str, Any]]) -> float:
    return float(sum(row["seconds"] for row in history))
