"""Datasets for tickets and for the ladder of tickets that an iterative method leaves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.datasets.local_files import LocalFileDataset, Recall, hold
from lottery_pipeline.datasets.previews import TablePreview, preview_table

if TYPE_CHECKING:
    from lottery_pipeline.tickets import Ladder, Ticket

_LADDER_COLUMNS = ("test_accuracy", "validation_accuracy", "epochs")


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

    def _write(self, path: Path, data: "Ticket") -> Recall | None:
        data.save(path)
        return hold(data, data.masks, data.state)

    def preview(self) -> TablePreview:
        """Return network and layers for Kedro-Viz, from the header alone: no weight leaves the disk."""
        return preview_table(self, _list_layers)


class LadderDataset(LocalFileDataset):
    """All rungs of an iterative method in one safetensors file; ``allow_factory`` as for tickets."""

    allow_factory: str | None = None

    def _read(self, path: Path) -> "Ladder":
        from lottery_pipeline.tickets import Ladder

        return Ladder.load(path, allow_factory=self.allow_factory)

    def _write(self, path: Path, data: "Ladder") -> Recall | None:
        data.save(path)
        return hold(data, data.survived, data.state)

    def preview(self) -> TablePreview:
        """Return a row per rung for Kedro-Viz, from the header; the search does not train the last one."""
        return preview_table(self, _list_rungs)


def _list_layers(path: Path) -> list[dict[str, Any]]:
    from lottery_pipeline.tickets.ticket import read_header

    header = read_header(path)
    layers = [
        {
            "layer": layer.name,
            "density": layer.density,
            "kept": layer.kept,
            "prunable": layer.size,
            "shape": "x".join(map(str, layer.shape)),
        }
        for layer in header.layers
    ]
    whole = {"density": header.density, "kept": header.kept, "prunable": header.prunable}
    return [{"layer": "whole network", **whole}, *layers]


def _list_rungs(path: Path) -> list[dict[str, Any]]:
    from lottery_pipeline.tickets.ladder import read_ladder_header

    header = read_ladder_header(path)
    trained = {row.rung: row for row in header.rows}
    return [
        {
            "rung": rung,
            "density": kept / header.counts[0],
            "kept": kept,
            **{column: getattr(trained.get(rung), column, None) for column in _LADDER_COLUMNS},
        }
        for rung, kept in enumerate(header.counts)
    ]
