"""The form of an attack: one row of the table of attacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from lottery_pipeline.ownership.attacks.grids import Point

Outcome = Mapping[str, Any]  # what a trial has found: a row of ``run_trials``


def detects(outcome: Outcome) -> bool:
    """Whether the mask code is detected."""
    return bool(outcome["detected"])


def reads_all(outcome: Outcome) -> bool:
    """Whether the mask code is detected and every group that shows anything shows its target."""
    return detects(outcome) and outcome["matches"] == outcome["counted"]


def shows_all(outcome: Outcome) -> bool:
    """Whether the payload is decoded, and 99 % of the triggers are hit if there are any."""
    hits, counted = outcome["trigger_hits"] or 0, outcome["trigger_counted"] or 0
    return bool(outcome["decoded"]) and hits >= 0.99 * counted


def covers_all(point: Point) -> bool:  # noqa: ARG001 (the others look at it)
    """Make a promise for every point."""
    return True


@dataclass(frozen=True)
class Attack:
    """A way to get rid of a signature, and what is promised against it.

    Attributes:
        id: ``A0`` to ``A31``.
        name: in print; unique.
        sentence: what it does.
        run: called as ``run(victim, **point)``; returns a network in evaluation mode on the CPU. It raises
            ``OwnershipError`` if the attack is impossible on this network, and ``DivergenceError`` if its
            training diverges.
        grid: every point of the full study.
        quick: one or two points for a run of seconds.
        pledge: ``must``: the promise is kept or the scheme has failed; ``report``: the result is reported.
        promise: what must hold, or what is expected, in words.
        keeps: whether an outcome keeps the promise.
        covers: whether it is made for a point.
        budget: loss of accuracy, a fraction, up to which it is made; None for any.
        preserves_function: whether the logits stay the same, at points that do not ask for fine-tuning.
        needs: the optional field of the victim that it cannot do without.
        follows: what it must find in the network: a linear ``head``, or a gradient by the ``pixels``.
    """

    id: str
    name: str
    sentence: str
    run: Callable[..., nn.Module]
    grid: tuple[Point, ...] = ({},)
    quick: tuple[Point, ...] = ({},)
    pledge: Literal["must", "report"] = "report"
    promise: str = "Nothing is promised; the result is reported."
    keeps: Callable[[Outcome], bool] = detects
    covers: Callable[[Point], bool] = covers_all
    budget: float | None = 0.01
    preserves_function: bool = False
    needs: Literal["other", "other_images", "insider"] | None = None
    follows: Literal["head", "pixels"] | None = None

    def judge(self, point: Point, outcome: Outcome) -> bool | None:
        """Return whether the promise is kept; None if none was made for this point at this price."""
        if self.pledge != "must" or not self.covers(point) or outcome.get("note"):
            return None
        drop = outcome["accuracy_drop"]
        if self.budget is not None and drop is not None and drop > self.budget:
            return None
        return self.keeps(outcome)

    @property
    def family(self) -> str:
        """Name of the module that it is in."""
        return self.run.__module__.rpartition(".")[2]
