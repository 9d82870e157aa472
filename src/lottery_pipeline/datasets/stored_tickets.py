"""Dataset for the trained tickets that are stored: those of earlier runs in the same variant."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from lottery_pipeline.datasets.left_out import read_note
from lottery_pipeline.datasets.previews import TablePreview, tabulate

if TYPE_CHECKING:
    from lottery_pipeline.tickets import Ticket

FILE = "trained_ticket.safetensors"


class StoredTicketsDataset(AbstractDataset[None, "dict[str, Callable[[], Ticket]]"]):
    """A folder with a folder per block, each with a trained ticket; none is read before it is asked for.

    Args:
        filepath: the folder; it may be missing.
        metadata: for Kedro-Viz.

    Attributes:
        allow_factory: the one ``package.module:factory`` that may build the model of a ticket.
    """

    allow_factory: str | None = None

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> "dict[str, Callable[[], Ticket]]":
        """Return, by block, the function that reads its newest trained ticket."""
        from lottery_pipeline.tickets import Ticket

        return {
            block: partial(Ticket.load, path, allow_factory=self.allow_factory)
            for block, path in self._find().items()
        }

    def save(self, data: None) -> None:  # noqa: ARG002 (the signature is Kedro's)
        """Refuse: each block saves its own ticket."""
        raise DatasetError("stored tickets are saved by the blocks that make them")

    def preview(self) -> TablePreview:
        """Return a row per ticket for Kedro-Viz, from the headers alone."""
        from lottery_pipeline.tickets.ticket import read_header

        headers = {block: read_header(path) for block, path in self._find().items()}
        return tabulate(
            [
                {"block": block, "density": header.density, "kept": header.kept, "seed": header.seed}
                for block, header in headers.items()
            ]
        )

    def _find(self) -> dict[str, Path]:
        """Return the newest file of each block; one that is versioned by Kedro is a folder of versions.

        An older ticket of a block that was left out since, or failed, is not what the last run made.
        """
        found: dict[str, Path] = {}
        for path in sorted(Path(self._filepath).glob(f"*/{FILE}")):
            versions = [path] if path.is_file() else sorted(path.glob(f"*/{FILE}"))
            if versions and read_note(path) is None:
                found[path.parent.name] = versions[-1]
        return found

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
