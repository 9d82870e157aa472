"""Sanity checks of a ticket (Su et al., NeurIPS 2020; Frankle et al., ICLR 2021): changes that must hurt it.

``shuffle`` moves the mask at random inside each layer. ``reinitialise`` keeps the mask and draws new initial
weights. ``inversion`` keeps the weights of lowest score. ``corrupted_data`` and ``half_data`` search on other
images (``corruption.py``) and put that mask on the start weights of the ticket. A changed ticket is trained
on the true images, with the recipe, the seed and so the data order of the ticket. Differences are therefore
paired.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from lottery_pipeline import __version__
from lottery_pipeline.evaluation.alterations import Find, alter_ticket, pretrain_again
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.options import SanityCheck
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.evaluation import evaluate

__all__ = ["CHECKS", "check_sanity", "pretrain_again"]

logger = logging.getLogger(__name__)

CHECKS: tuple[SanityCheck, ...] = get_args(SanityCheck)
FOLDER = "sanity"
Row = dict[str, Any]


def check_sanity(
    search: Search,
    *,
    method: str,
    extract: Callable[[Search, Any], Extraction],
    options: Any,
    checks: Sequence[SanityCheck] = CHECKS,
) -> list[Row]:
    """Check the ticket that a method finds in a dense run. One call is one seed, that of the dense run.

    Args:
        search: what the method is given; its seed is that of the dense run (``pretrain_again`` gives other
            seeds), its recipe also that of the ticket and of every changed ticket. ``on_record`` is called
            as ``on_record("shuffle_seed_3", row)`` with each history row of each retraining.
        method: its name.
        extract: its function, as in ``METHODS``.
        options: of the search.
        checks: which checks to make.

    Returns:
        One row per check: ``method``, ``check``, ``seed``, ``density``, ``kept``, ``prunable``,
        ``original_accuracy`` and ``changed_accuracy`` on the test images, their ``difference`` (below 0: the
        change hurts), ``changed`` (mask positions that differ; for ``reinitialise`` kept weights), ``epochs``
        and ``seconds`` of the retraining. Fresh weights are untrained and start at step 0; beside a ticket
        rewound to step k, they are trained for k more steps. If a search finds the same mask on other images,
        ``changed`` is 0, the accuracy is the ticket's, and nothing is trained again.

    Raises:
        TicketError: a check does not exist, or it would change nothing of the ticket: a control that cannot
            fail.
    """
    for check in checks:
        if check not in CHECKS:
            raise TicketError(f"a sanity check is one of {', '.join(CHECKS)}, not {check!r}")
    checkpoints, work = search.checkpoints, None
    if checkpoints is not None:  # apart from the other files, whose number is limited
        folder = checkpoints.folder / FOLDER
        work = Checkpoints(folder, interval_seconds=checkpoints.interval_seconds)

    def find(given: Search, **changes: Any) -> Extraction:
        silent = replace(given, checkpoints=work, on_record=None)
        return extract(silent, options.model_copy(update=changes))

    def identify(name: str) -> str:
        record = {"dense": search.dense.fingerprint, "method": method, "row": name}
        return fingerprint(record | {"options": options.model_dump(mode="json")})

    own = fingerprint(
        {
            "computation": "sanity",
            "version": __version__,
            "images": search.images.fingerprint,
            "recipe": search.recipe.record(),
        }
    )
    saved = None if checkpoints is None else checkpoints.load(own)
    rows: dict[str, Row] = {} if saved is None else saved[1]["rows"]
    missing = [check for check in checks if identify(check) not in rows]
    inside = replace(search, seed=search.dense.seed, checkpoints=work)
    for name, row in _make_rows(inside, method, find, missing, rows.get(identify("original"))):
        rows[identify(name)] = row
        if checkpoints is not None:
            checkpoints.save(own, {}, {"rows": rows, "finished": True})
    if missing and work is not None:
        shutil.rmtree(work.folder, ignore_errors=True)
    return [rows[identify(check)] for check in checks]


def _make_rows(
    search: Search, method: str, find: Find, checks: Sequence[SanityCheck], original: Row | None
) -> Iterator[tuple[str, Row]]:
    """Yield the rows of checks by name, and first that of the ticket if it is not known yet."""
    if not checks:
        return
    found = find(search)
    ticket = found.ticket
    for check in checks:
        changed, count = alter_ticket(search, find, found, check)
        logger.info("%s %s: %d places changed.", method, check, count)
        if original is None:
            original = _train(search, ticket, "original")
            yield "original", original
        result = _train(search, changed, check) if count else original | {"epochs": 0.0, "seconds": 0.0}
        yield (
            check,
            {
                "method": method,
                "check": check,
                "seed": search.seed,
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


def _train(search: Search, ticket: Ticket, name: str) -> Row:
    label = f"{name}_seed_{search.seed}"
    trained = retrain_ticket(
        ticket,
        search.images,
        search.recipe,
        seed=search.seed,
        device=search.device,
        checkpoints=search.checkpoints,
        on_record=None if search.on_record is None else partial(search.on_record, label),
        label=f"{ticket.method} {label}",
    )
    place = search.place
    accuracy = evaluate(trained.ticket.build(place), search.images.test, device=place)["accuracy"]
    return {"accuracy": accuracy, "epochs": trained.epochs, "seconds": trained.seconds}
