"""Lineage of results: each names its ticket, and one of another ticket is refused when it is read.

Results of a method lie in files that another run may have replaced since. That run's search costs beside this
run's ticket would be a wrong number that nobody notices. Older versions did not name the ticket in their
records; these are accepted as they are.
"""

from collections.abc import Iterable, Mapping
from typing import Any

KEY = "ticket"

Row = dict[str, Any]


class LineageError(ValueError):
    """A record that belongs to a different ticket."""


def mark_record(record: Mapping[str, Any], ticket: str) -> Row:
    """Return a record that names the ticket it belongs to.

    Args:
        record: plain JSON.
        ticket: fingerprint of the ticket.
    """
    return {**record, KEY: ticket}


def mark_rows(rows: Iterable[Mapping[str, Any]], ticket: str) -> list[Row]:
    """Return rows each of which names the ticket it belongs to."""
    return [mark_record(row, ticket) for row in rows]


def check_record(name: str, record: Mapping[str, Any], ticket: str) -> Row:
    """Make sure that a record belongs to a ticket.

    Args:
        name: of the catalog entry it comes from, such as ``ltr.search``.
        record: with or without the name of its ticket.
        ticket: fingerprint of the ticket it should belong to.

    Returns:
        The record without the name of its ticket.

    Raises:
        LineageError: it belongs to another ticket.
    """
    found = record.get(KEY, ticket)
    if found != ticket:
        pipeline = name.rpartition(".")[0]
        raise LineageError(
            f"{name} belongs to another ticket ({str(found)[:12]}), not to this one ({ticket[:12]}), so "
            f"another run has written one of the two; `kedro run --pipelines {pipeline}`, with the --env and "
            "--params of this run, makes both again"
        )
    return {key: value for key, value in record.items() if key != KEY}


def check_rows(name: str, rows: Iterable[Mapping[str, Any]], ticket: str) -> list[Row]:
    """Make sure that rows belong to a ticket, as ``check_record`` does; return them without its name."""
    return [check_record(name, row, ticket) for row in rows]


def collect_record(**parts: Any) -> dict[str, Any]:
    """Put what a block has measured into one record: it is replaced as a whole, so its parts always agree.

    Args:
        **parts: such as metrics, history and controls; rows may name the ticket they belong to.

    Returns:
        The parts by name; their rows no longer name the ticket, because ``metrics`` does.

    Raises:
        LineageError: a part belongs to another ticket than the metrics.
    """
    metrics = parts.get("metrics", {})
    # Controls are made from the ticket as it was found, the other parts from the trained one.
    found, trained = metrics.get(KEY), metrics.get("fingerprint")
    owners = {"history": trained, "ladder_table": trained, "controls": found}
    run = name_run(str(metrics.get("method", "")))
    return {
        part: content if owners.get(part) is None else check_rows(f"{run}.{part}", content, owners[part])
        for part, content in parts.items()
    }


def name_run(chain: str) -> str:
    """Return the name of the block that makes the tickets of a chain: ``layer_snip`` for ``layer>snip``."""
    return chain.replace(">", "_")
