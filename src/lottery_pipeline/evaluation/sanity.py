"""Sanity checks of a ticket (Su et al., NeurIPS 2020; Frankle et al., ICLR 2021): changes that must hurt it.

``shuffle`` moves the mask at random inside each layer. ``reinitialise`` keeps the mask and draws new initial
weights. ``inversion`` keeps the weights of lowest score. ``corrupted_data`` and ``half_data`` search on other
images (``corruption.py``) and put that mask on the start weights of the ticket. A changed ticket is trained
on the true images, with the recipe, the seed and so the data order of the ticket: differences are paired.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, get_args

from lottery_pipeline.evaluation.alterations import Subject, alter_ticket, pretrain_again
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options import SanityCheck
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction, check_dense_run
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord

__all__ = ["CHECKS", "check_sanity", "pretrain_again"]

logger = logging.getLogger(__name__)

CHECKS: tuple[SanityCheck, ...] = get_args(SanityCheck)
FOLDER = "sanity"
Row = dict[str, Any]


def check_sanity(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    method: str,
    extract: Callable[..., Extraction],
    options: Any,
    checks: Sequence[SanityCheck] = CHECKS,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> list[Row]:
    """Check the ticket that a method finds in a dense run. One call is one seed, that of the dense run.

    Args:
        images: of the dense run.
        dense: its seed is that of all searches and trainings; ``pretrain_again`` gives other seeds.
        recipe: of the search, of the ticket and of every changed ticket.
        method: its name.
        extract: its function, as in ``METHODS``.
        options: of the search.
        checks: which.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save inside searches and trainings, and every finished row.
        on_record: called as ``on_record("shuffle_seed_3", row)`` with each history row of each retraining.
        allow_factory: the trusted ``package.module:factory``, where the model is one.

    Returns:
        One row per check: ``method``, ``check``, ``seed``, ``density``, ``kept``, ``prunable``,
        ``original_accuracy`` and ``changed_accuracy`` on the test images, their ``difference`` (below 0: the
        change hurts), ``changed`` (mask positions that differ; for ``reinitialise`` kept weights), ``epochs``
        and ``seconds`` of the retraining. Fresh weights have no training behind them and start at step 0:
        those beside a ticket rewound to step k are trained k steps more. Where a search finds the same mask
        on other images, ``changed`` is 0, the accuracy is the ticket's, and nothing is trained again.

    Raises:
        TicketError: the dense run is of other images, there is no such check, or the change of a ticket would
            change nothing: a control that cannot fail.
    """
    check_dense_run(dense, images)
    for check in checks:
        if check not in CHECKS:
            raise TicketError(f"a sanity check is one of {', '.join(CHECKS)}, not {check!r}")
    work = None
    if checkpoints is not None:  # apart from its other files, of which only so many are kept
        folder = checkpoints.folder / FOLDER
        work = Checkpoints(folder, interval_seconds=checkpoints.interval_seconds)
    subject = Subject(method, extract, options, images, dense, recipe, device, work, on_record, allow_factory)
    saved = None if checkpoints is None else checkpoints.load(subject.fingerprint)
    rows: dict[str, Row] = {} if saved is None else saved[1]["rows"]
    missing = [check for check in checks if subject.identify(check) not in rows]
    for name, row in _make_rows(subject, missing, rows.get(subject.identify("original"))):
        rows[subject.identify(name)] = row
        if checkpoints is not None:
            checkpoints.save(subject.fingerprint, {}, {"rows": rows, "finished": True})
    if missing and work is not None:
        shutil.rmtree(work.folder, ignore_errors=True)
    return [rows[subject.identify(check)] for check in checks]


def _make_rows(
    subject: Subject, checks: Sequence[SanityCheck], original: Row | None
) -> Iterator[tuple[str, Row]]:
    """Yield the rows of checks by name, and before them that of the ticket where it is not known."""
    if not checks:
        return
    found = subject.search(subject.images, subject.dense)
    ticket = found.ticket
    for check in checks:
        changed, count = alter_ticket(subject, found, check)
        logger.info("%s %s: %d places changed.", subject.method, check, count)
        if original is None:
            original = _train(subject, ticket, "original")
            yield "original", original
        result = _train(subject, changed, check) if count else original | {"epochs": 0.0, "seconds": 0.0}
        yield (
            check,
            {
                "method": subject.method,
                "check": check,
                "seed": subject.dense.seed,
                "density": ticket.density,
                "kept": ticket.kept,
                "prunable": ticket.prunable,
                "original_accuracy": original["accuracy"],
                "changed_accuracy": result["accuracy"],
                "difference": result["accuracy"] - original["accuracy"],
                "changed": count,
                "epochs": result["epochs"],
                "seconds": result["seconds"],
            },
        )


def _train(subject: Subject, ticket: Ticket, name: str) -> Row:
    label = f"{name}_seed_{subject.dense.seed}"
    trained = retrain_ticket(
        ticket,
        subject.images,
        subject.recipe,
        seed=subject.dense.seed,
        device=subject.device,
        checkpoints=subject.checkpoints,
        on_record=None if subject.on_record is None else partial(subject.on_record, label),
        label=f"{subject.method} {label}",
    )
    place = pick_device(subject.device)
    accuracy = evaluate(trained.ticket.build(place), subject.images.test, device=place)["accuracy"]
    return {"accuracy": accuracy, "epochs": trained.epochs, "seconds": trained.seconds}
