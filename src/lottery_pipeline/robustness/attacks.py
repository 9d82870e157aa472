"""The attacks: one table of what is known about each and how it is run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from lottery_pipeline.options.robustness import AdversarialOptions, AutoAttackPart
from lottery_pipeline.robustness.autoattack import autoattack
from lottery_pipeline.robustness.fgsm import fgsm
from lottery_pipeline.robustness.fmn import fmn
from lottery_pipeline.robustness.pgd import pgd
from lottery_pipeline.robustness.threat import Threat

AttackName = Literal["fgsm", "fmn", "pgd", "apgd-ce", "apgd-t", "fab-t", "square"]


class Target(NamedTuple):
    """What an attack is given.

    Attributes:
        model: pixels in [0, 1] -> logits, in evaluation mode.
        images: float32 ``[N, C, H, W]`` in [0, 1].
        labels: int64 ``[N]``.
        indices: int64 ``[N]``, the places of the images in their set.
        threat: how far an image may move; an attack that looks for the smallest change reads the norm alone.
        seed: of everything drawn.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    indices: Tensor
    threat: Threat
    seed: int


class Outcome(NamedTuple):
    """Adversarial images, and what the attack has warned of by name."""

    adversarial: Tensor
    warnings: dict[str, bool]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        label: for people.
        sentence: what it does.
        paper: where it comes from.
        access: ``white box`` if it follows gradients, ``black box`` if it asks for outputs only.
        finds_distance: whether it looks for the smallest change, so that one run serves every eps.
        run: attacks one batch.
    """

    label: str
    sentence: str
    paper: str
    access: Literal["white box", "black box"]
    finds_distance: bool
    run: Callable[[Target, AdversarialOptions], Outcome]


def _run_fgsm(target: Target, options: AdversarialOptions) -> Outcome:  # noqa: ARG001
    return Outcome(fgsm(target.model, target.images, target.labels, target.threat), {})


def _run_fmn(target: Target, options: AdversarialOptions) -> Outcome:
    norm = target.threat.norm
    found, _ = fmn(target.model, target.images, target.labels, norm, steps=options.fmn_steps)
    return Outcome(found, {})


def _run_pgd(target: Target, options: AdversarialOptions) -> Outcome:
    found = pgd(
        target.model,
        target.images,
        target.labels,
        target.threat,
        steps=options.steps,
        step_size=options.step_size,
        restarts=options.restarts,
        seed=target.seed,
        indices=target.indices,
    )
    return Outcome(found, {})


def _part_of_autoattack(part: AutoAttackPart) -> Callable[[Target, AdversarialOptions], Outcome]:
    def run(target: Target, options: AdversarialOptions) -> Outcome:
        own = options.autoattack.model_copy(update={"parts": (part,)})
        return Outcome(*autoattack(*target[:3], target.threat, options=own, seed=target.seed))

    return run


def _row(name: AutoAttackPart, label: str, sentence: str, paper: str, **changes: Any) -> Attack:
    known: dict[str, Any] = {"access": "white box", "finds_distance": False} | changes
    return Attack(label, sentence, paper, run=_part_of_autoattack(name), **known)


# AutoAttack is the cascade of its four parts, so each of them is an attack of its own.
ATTACKS: dict[AttackName, Attack] = {
    "fgsm": Attack(
        label="FGSM",
        sentence="One step along the sign of the gradient; weak, a check of the others.",
        paper="arXiv 1412.6572",
        access="white box",
        finds_distance=False,
        run=_run_fgsm,
    ),
    "fmn": Attack(
        label="FMN",
        sentence="Looks for the smallest change that fools the network.",
        paper="arXiv 2102.12827",
        access="white box",
        finds_distance=True,
        run=_run_fmn,
    ),
    "pgd": Attack(
        label="PGD",
        sentence="Many steps up the cross-entropy from a random start, projected back into the ball.",
        paper="arXiv 1706.06083",
        access="white box",
        finds_distance=False,
        run=_run_pgd,
    ),
    "apgd-ce": _row(
        "apgd-ce", "APGD-CE", "PGD that chooses its own step size; part of AutoAttack.", "arXiv 2003.01690"
    ),
    "apgd-t": _row(
        "apgd-t",
        "APGD-T",
        "The same towards chosen classes, with a loss that ignores the scale of logits; part of AutoAttack.",
        "arXiv 2003.01690",
    ),
    "fab-t": _row(
        "fab-t",
        "FAB-T",
        "Walks along the linearised boundary towards chosen classes; part of AutoAttack.",
        "arXiv 1907.02044",
    ),
    "square": _row(
        "square",
        "Square",
        "Random search with square patches, without gradients; part of AutoAttack.",
        "arXiv 1912.00049",
        access="black box",
    ),
}


def list_attacks(options: AdversarialOptions) -> list[AttackName]:
    """Return the attacks of the options in their order, AutoAttack as its parts."""
    names: list[AttackName] = []
    for name in options.attacks:
        names.extend(options.autoattack.parts if name == "autoattack" else [name])
    return names
