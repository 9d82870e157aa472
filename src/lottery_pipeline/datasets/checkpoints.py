"""Dataset for the checkpoints of a run: one object that all nodes of the run share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from lottery_pipeline.reproducibility.checkpoints import Checkpoints


class CheckpointsDataset(AbstractDataset[None, Any]):
    """The folder in which interrupted trainings wait; nothing is saved through the catalog.

    Args:
        filepath: folder of the checkpoint files.
        interval_seconds: time between two checkpoints of a training.
        limit: number of files kept; the oldest go first.
        metadata: for Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        interval_seconds: float = 15.0,
        limit: int = 16,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = filepath
        self._interval_seconds = interval_seconds
        self._limit = limit
        self.metadata = metadata
        self._checkpoints: Checkpoints | None = None

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return Path(self._filepath)

    def load(self) -> "Checkpoints":
        """Return the one object of this run."""
        from lottery_pipeline.reproducibility.checkpoints import Checkpoints

        if self._checkpoints is None:
            self._checkpoints = Checkpoints(
                self._filepath, interval_seconds=self._interval_seconds, limit=self._limit
            )
        return self._checkpoints

    def save(self, data: None) -> None:  # noqa: ARG002 (the signature is Kedro's)
        """Refuse: trainings write their own checkpoints."""
        raise DatasetError("checkpoints are written by the trainings themselves, not through the catalog")

    def clear_used(self) -> None:
        """Remove the checkpoints of this run, which is done and no longer needs them."""
        if self._checkpoints is not None:
            self._checkpoints.clear_used()

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": self._filepath,
            "interval_seconds": self._interval_seconds,
            "limit": self._limit,
        }
