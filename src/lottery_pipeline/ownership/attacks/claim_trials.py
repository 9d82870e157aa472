"""Trials that start from no network of a thief: forged claims (A20), and a lock without its key (A21)."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.ownership.attacks.forging import try_forgeries
from lottery_pipeline.ownership.attacks.unlocking import KINDS, SHARES, Kind, try_unlocking
from lottery_pipeline.ownership.claims import Claim, Opened
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.signing import find_start
from lottery_pipeline.ownership.verify import LEAST_UNSTAMPED, NOT_SHOWN, OWNED
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import DivergenceError

Row = dict[str, Any]

_KEYS = {"quick": 200, "full": 10_000}
_LOCKS: dict[str, tuple[tuple[float, ...], tuple[Kind, ...]]] = {
    "quick": ((0.1,), ("right key", "locked only", "largest gradients")),
    "full": (SHARES, KINDS),
}


@dataclass(frozen=True)
class ClaimTrial:
    """A row of the second table; the fields are those of ``Attack``."""

    id: str
    name: str
    sentence: str
    promise: str
    pledge: Literal["must", "report"] = "must"


CLAIM_TRIALS: dict[str, ClaimTrial] = {
    "A20": ClaimTrial(
        id="A20",
        name="forged claims",
        sentence="Claim a network without having marked it.",
        promise="No forged claim ends in the verdict owned.",
    ),
    "A21": ClaimTrial(
        id="A21",
        name="unlocking",
        sentence="Train a locked ticket without its key.",
        promise="The right key restores every mask bit by bit; what the others reach is reported.",
    ),
}


def run_claim_trials(
    names: Iterable[str],
    claim: Claim,
    opened: Opened,
    *,
    unsigned: Ticket,
    dense: DenseRun,
    images: ImageSplits,
    recipe: Recipe,
    grid: str = "quick",
    seeds: Sequence[int] = (0,),
    device: str = "auto",
) -> Iterator[Row]:
    """Run the trials of the second table.

    Args:
        names: from ``CLAIM_TRIALS``.
        claim: the owner's release.
        opened: its secrets.
        unsigned: the ticket that was signed, which is locked for A21.
        dense: the dense run it was found in.
        images: those it was made from.
        recipe: of its training.
        grid: ``quick`` or ``full``.
        seeds: of the forgers and thieves.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Yields:
        Rows with the keys of ``run_trials``; the seconds of a seed are divided evenly among its rows. In
        those of A20, ``bits`` and ``detected`` are about the forged claim; in those of A21 nothing is looked
        for. Neither has an ``accuracy_drop``, so that no figure shows them among the attacks on a mark.
    """
    for name in names:
        for seed in seeds:
            started = time.perf_counter()
            if name == "A20":
                forged = try_forgeries(claim, opened, claim.ticket.state, seed=seed, keys=_KEYS[grid])
                rows = [_show_forgery(row, seed) for row in forged]
            else:
                rows = _unlock(unsigned, dense, images, recipe, grid=grid, seed=seed, device=device)
            seconds = (time.perf_counter() - started) / len(rows)
            yield from ({**row, "seconds": seconds} for row in rows)


def _unlock(
    unsigned: Ticket,
    dense: DenseRun,
    images: ImageSplits,
    recipe: Recipe,
    *,
    grid: str,
    seed: int,
    device: str,
) -> list[Row]:
    shares, kinds = _LOCKS[grid]
    try:
        start = find_start(unsigned, dense)
        found = [
            row
            for share in shares
            for row in try_unlocking(
                unsigned, start, images, recipe, seed=seed, share=share, kinds=kinds, device=device
            )
        ]
    except (OwnershipError, DivergenceError) as error:
        return [_show("A21", "", seed, note=str(error))]
    return [_show_unlocking(row, seed) for row in found]


def _show_forgery(row: Row, seed: int) -> Row:
    accepted = row["accepted"] > 0
    return _show(
        "A20",
        f"{row['forgery']}, tries={row['tries']}",
        seed,
        bits=row["most_bits"],
        detected=accepted,
        verdict=OWNED if accepted else NOT_SHOWN,
        held=not accepted if row["tries"] else None,
        note="" if row["tries"] else row["says"],
    )


def _show_unlocking(row: Row, seed: int) -> Row:
    right = row["kind"] == "right key"
    return _show(
        "A21",
        f"{row['kind']}, share={row['share']:g}, gap={100 * row['gap']:.2f} points",
        seed,
        accuracy=row["accuracy"],
        pledge="must" if right else "report",
        held=row["restored"] if right else None,
    )


def _show(name: str, parameters: str, seed: int, **values: Any) -> Row:
    """Return a row of the table; what is not given has not been measured."""
    trial = CLAIM_TRIALS[name]
    unknown = (
        "matches",
        "counted",
        "aligned",
        "normalised",
        "trigger_hits",
        "trigger_counted",
        "trigger_bits",
    )
    compared = ("qr_decoded", "qr_matched", "qr_read", "qr_accuracy")
    return {
        "attack": name,
        "name": trial.name,
        "family": "forging" if name == "A20" else "unlocking",
        "parameters": parameters,
        "seed": seed,
        "accuracy": None,
        "accuracy_drop": None,
        "bits": 0.0,
        "alpha_bits": LEAST_UNSTAMPED,
        "detected": False,
        "decoded": False,
        **dict.fromkeys(unknown),
        "verdict": NOT_SHOWN,
        "pledge": trial.pledge,
        "note": "",
        "held": None,
        **dict.fromkeys(compared),
        **values,
    }
