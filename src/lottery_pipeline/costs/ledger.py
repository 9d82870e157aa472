"""The ledger: what finding and training a ticket cost, entry by entry."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

Stage = Literal["parents", "search", "training"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Entry:
    """One piece of work.

    Attributes:
        stage: what it was done for.
        name: what was done (``round_03``).
        epochs: passes over the training images, forward and backward.
        seconds: time taken.
        macs: multiply-accumulates that were executed: a masked network runs at full size.
    """

    stage: Stage
    name: str
    epochs: float
    seconds: float
    macs: int

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"{self.stage!r} is not a stage of a ledger; stages are {', '.join(STAGES)}")
        if not (self.epochs >= 0 and self.seconds >= 0 and self.macs >= 0):  # so that NaN fails
            raise ValueError(
                f"{self.name}: epochs, seconds and macs of a ledger must be 0 or more, "
                f"not {self.epochs}, {self.seconds} and {self.macs}"
            )


class Total(NamedTuple):
    """The sum of several entries."""

    epochs: float
    seconds: float
    macs: int


@dataclass(frozen=True)
class Ledger:
    """Entries that sum to what a ticket cost. ``parents`` is what the search started from: the dense run.

    A search that counts the dense run as its own round 0, as IMP's does, has no parents: nothing may be
    counted twice.
    """

    entries: tuple[Entry, ...] = ()

    def add(self, stage: Stage, name: str, *, epochs: float, seconds: float, macs: int) -> "Ledger":
        """Return a ledger with one more entry.

        Raises:
            ValueError: there is no such stage, or a number is negative or NaN.
        """
        return Ledger((*self.entries, Entry(stage, name, epochs, seconds, macs)))

    def total(self, stage: Stage | None = None) -> Total:
        """Return the sum over the entries of a stage; None sums over all."""
        chosen = [entry for entry in self.entries if stage in (None, entry.stage)]
        return Total(
            float(sum(entry.epochs for entry in chosen)),
            float(sum(entry.seconds for entry in chosen)),
            sum(entry.macs for entry in chosen),
        )

    def count(self, *stages: Stage) -> int:
        """Return the number of entries of these stages: searching and training by IMP have R + 1."""
        return sum(entry.stage in stages for entry in self.entries)

    def record(self) -> list[dict[str, Any]]:
        """Return the entries as plain rows."""
        return [asdict(entry) for entry in self.entries]


def training_macs(epochs: float, images: int, macs_per_image: int) -> int:
    """Return the multiply-accumulates of a training.

    Args:
        epochs: trained; a search counts in epochs-equivalent.
        images: training images of an epoch.
        macs_per_image: forward and backward, what ``count_training_macs`` returns.
    """
    return round(epochs * images * macs_per_image)
