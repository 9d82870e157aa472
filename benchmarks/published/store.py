"""The folder of the study: ``rows/``, ``tickets/`` with their costs, and what belongs to it as a whole."""

import json
from pathlib import Path
from typing import Any

from benchmarks.published.plan import Row
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.tickets.ticket import Ticket

Costs = dict[str, float]  # epochs and seconds of training between theta_k and a ticket


class StoreError(ValueError):
    """A folder that belongs to another study."""


def claim(folder: Path, identity: dict[str, Any]) -> None:
    """Note what the rows of a folder belong to: setting, images, recipe.

    Raises:
        StoreError: there are rows of something else.
    """
    path = folder / "study.json"
    if path.exists() and (known := json.loads(path.read_text())) != identity:
        differing = ", ".join(name for name in identity if known.get(name) != identity[name])
        raise StoreError(f"{folder} holds the rows of another study ({differing}); choose another --out")
    write_atomically(path, json.dumps(identity, indent=1).encode())


def restore(folder: Path, results: Path, identity: dict[str, Any]) -> None:
    """Put the rows of a recorded report of the same study back, so that they are not measured again."""
    recorded = json.loads(results.read_text()) if results.exists() else {"rows": []}
    if all(recorded.get(name) == value for name, value in identity.items()):
        for row in recorded["rows"]:
            path = row_path(folder, Row(row["method"], row["seed"], row["rung"]))
            if not path.exists():
                write_atomically(path, json.dumps(row, indent=1).encode())


def row_path(folder: Path, row: Row) -> Path:
    """Return where a row lies."""
    return folder / "rows" / f"{row.name}.json"


def find_rows(folder: Path) -> list[dict[str, Any]]:
    """Read all rows, in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted((folder / "rows").glob("*.json"))]


def save_ticket(folder: Path, row: Row, ticket: Ticket, costs: Costs) -> None:
    """Write a ticket, then its costs, which say that it is there."""
    path = folder / "tickets" / f"{row.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    ticket.save(path.with_suffix(".safetensors"))
    write_atomically(path, json.dumps(costs).encode())


def find_ticket(folder: Path, row: Row) -> tuple[Ticket, Costs] | None:
    """Read the ticket that a row trains and its costs; None if it was not found yet."""
    path = folder / "tickets" / f"{row.name}.json"
    if not path.exists():
        return None
    return Ticket.load(path.with_suffix(".safetensors")), json.loads(path.read_text())
