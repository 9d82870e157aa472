"""Datasets for tickets and for the ladder of tickets that an iterative method leaves."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.datasets.previews import TablePreview, tabulate

if TYPE_CHECKING:
    from lottery_pipeline.tickets import Ladder, Ticket


class TicketDataset(LocalFileDataset):
    """A ticket or a trained ticket in one safetensors file, read with the checks of the ticket format.

    Attributes:
        allow_factory: the one ``package.module:factory`` that may build the model of a ticket; the run sets
            it to its own ``model.name``, never to what the file says.
    """

    allow_factory: str | None = None

    def _read(self, path: Path) -> "Ticket":
        from lottery_pipeline.tickets import Ticket

        return Ticket.load(path, allow_factory=self.allow_factory)

    def _write(self, path: Path, data: "Ticket") -> None:
        data.save(path)

    def preview(self) -> TablePreview:
        """Return a row per layer for Kedro-Viz, read from the header alone: no weight leaves the disk."""
        if not self.exists():
            return tabulate([])
        from lottery_pipeline.tickets.ticket import read_header

        layers = read_header(self.stored_path()).layers
        return tabulate(
            [
                {
                    "layer": layer.name,
                    "shape": " x ".join(map(str, layer.shape)),
                    "prunable": math.prod(layer.shape),
                    "kept": layer.kept,
                    "density": round(layer.kept / math.prod(layer.shape), 6),
                }
                for layer in layers
            ]
        )


class LadderDataset(LocalFileDataset):
    """All rungs of an iterative method in one safetensors file; ``allow_factory`` as for tickets."""

    allow_factory: str | None = None

    def _read(self, path: Path) -> "Ladder":
        from lottery_pipeline.tickets import Ladder

        return Ladder.load(path, allow_factory=self.allow_factory)

    def _write(self, path: Path, data: "Ladder") -> None:
        data.save(path)
