"""Trials: every attack on a signed ticket, and what is left of its mark, its triggers and its accuracy."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.ownership.answers import ask_model, predict_with
from lottery_pipeline.ownership.attacks.attack import Attack, Point
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.claims import Claim, Opened
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.qr_code import Symbol
from lottery_pipeline.ownership.qr_signature import Position, extract_symbol
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.verify import verify_claim
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.result import DivergenceError

logger = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class QrVictim:
    """The same ticket with the published signature, to compare.

    Attributes:
        victim: holds the ticket with the QR code in its mask.
        symbol: the code.
        position: where it is.
        text: what it says.
    """

    victim: Victim
    symbol: Symbol
    position: Position
    text: str


def run_trials(
    attacks: Iterable[Attack],
    victim: Victim,
    claim: Claim,
    opened: Opened,
    *,
    grid: str = "quick",
    seeds: Iterable[int] = (0,),
    compared: QrVictim | None = None,
) -> Iterator[Row]:
    """Run attacks one after the other; yield a row for each point and seed.

    Args:
        attacks: from the table.
        victim: holds the signed ticket.
        claim: its release.
        opened: the owner's secrets, for the verification of what is left.
        grid: ``quick`` or ``full``.
        seeds: of the attackers.
        compared: the same ticket with the published signature; every attack is run on it, too.

    Yields:
        ``attack``, ``name``, ``family``, ``parameters``, ``seed``; ``accuracy`` on the test images and
        ``accuracy_drop`` against the signed ticket; ``bits``, ``alpha_bits``, ``detected``, ``decoded``,
        ``matches``, ``counted`` of the mask code; ``trigger_hits``, ``trigger_counted``, ``trigger_bits``;
        ``verdict``; ``pledge`` and ``held`` (None if nothing was promised for this point or the attack cost
        more accuracy than its budget); ``qr_decoded``, ``qr_matched``, ``qr_read``, ``qr_accuracy`` (None
        without a QR code); ``seconds``; ``note``.
    """
    chosen = [
        (attack, point)
        for attack in attacks
        if attack.needs is None or getattr(victim, attack.needs) is not None
        for point in (attack.quick if grid == "quick" else attack.grid)
    ]
    trials = [(attack, point, seed) for attack, point in chosen for seed in seeds]
    groups = sum(count for _, count in claim.bundle.commitment.code.groups)
    before = _measure(victim.build(), victim)
    began = time.perf_counter()
    for number, (attack, point, seed) in enumerate(trials, start=1):
        started = time.perf_counter()
        row = _try(attack, point, replace(victim, seed=seed, groups=groups), claim, opened, before)
        row |= _try_compared(attack, point, seed, groups, compared)
        row["seconds"] = time.perf_counter() - started
        left = (time.perf_counter() - began) / number * (len(trials) - number)
        logger.info(
            "attack %d of %d: %s %s: accuracy %.1f %%, %.0f bits, %s; about %.0f s left",
            *(number, len(trials), attack.id, row["parameters"] or attack.name),
            *(100 * (row["accuracy"] or 0), row["bits"], row["verdict"], left),
        )
        yield row


def _try(attack: Attack, point: Point, victim: Victim, claim: Claim, opened: Opened, before: float) -> Row:
    row: Row = {
        "attack": attack.id,
        "name": attack.name,
        "family": attack.family,
        "parameters": ", ".join(f"{name}={_show(value)}" for name, value in point.items()),
        "seed": victim.seed,
        "accuracy": None,
        "accuracy_drop": None,
    }
    note = ""
    found: Row = {}
    try:
        network = attack.run(victim, **point)
        if attack.needs != "other_images":  # after a transfer it answers another question
            row["accuracy"] = _measure(network, victim)
            row["accuracy_drop"] = before - row["accuracy"]
        suspect = gather_suspect(_read(network), claim.ticket, name="the attacked network")
        found = verify_claim(
            claim, suspect, opened=opened, ask=ask_model(predict_with(network, device=victim.device))
        )
    except (OwnershipError, DivergenceError, ModelError) as error:
        note = str(error)
    code, triggers = found.get("mask_code") or {}, found.get("triggers") or {}
    row |= {
        "bits": code.get("bits", 0.0),
        "alpha_bits": found.get("alpha_bits", claim.bundle.commitment.alpha_unstamped),
        "detected": code.get("bits", 0.0) >= found.get("alpha_bits", float("inf")),
        "decoded": code.get("decoded", False),
        **{name: code.get(name) for name in ("matches", "counted", "aligned", "normalised")},
        **{f"trigger_{name}": triggers.get(name) for name in ("hits", "counted", "bits")},
        "verdict": found.get("verdict", "not shown"),
        "pledge": attack.pledge,
        "note": note,
    }
    return {**row, "held": attack.judge(point, row)}


def _try_compared(attack: Attack, point: Point, seed: int, groups: int, compared: QrVictim | None) -> Row:
    row: Row = dict.fromkeys(("qr_decoded", "qr_matched", "qr_read", "qr_accuracy"))
    if compared is None or attack.needs is not None:
        return row
    victim = replace(compared.victim, seed=seed, groups=groups)
    try:
        network = attack.run(victim, **point)
    except (OwnershipError, DivergenceError, ModelError):
        return row
    row["qr_accuracy"] = _measure(network, victim)
    try:
        found = extract_symbol(_read(network), compared.position, paste_back=True, expected=compared.symbol)
    except OwnershipError:  # the window is not there any more
        return row | {"qr_decoded": False}
    return row | {
        "qr_decoded": found.text == compared.text,
        "qr_matched": found.matched,
        "qr_read": found.read,
    }


def _measure(network: nn.Module, victim: Victim) -> float:
    return evaluate(network, victim.images.test, device=pick_device(victim.device))["accuracy"]


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _read(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network as they would be in a file: on the CPU."""
    return {name: tensor.cpu() for name, tensor in network.state_dict().items()}
