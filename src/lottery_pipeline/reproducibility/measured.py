"""Records that keep what was measured apart from what was computed.

A computation can be done again to the last bit; what a clock, a meter or an allocator gives cannot. A record
keeps the latter in one field, so two runs can be compared by the rest.
"""

from collections.abc import Collection, Mapping
from typing import Any

MEASURED = "measured"

Record = dict[str, Any]


def set_apart(record: Mapping[str, Any], names: Collection[str]) -> Record:
    """Move what was measured into the field ``measured``.

    Args:
        record: without that field.
        names: what was measured: values of the record, and columns of its tables.

    Returns:
        The record. The measured columns of a table (a list of rows) are in ``measured`` under the table's
        name, row by row.
    """
    computed: Record = {}
    measured: Record = {}
    for key, value in record.items():
        if key in names:
            measured[key] = value
        elif _has_columns(value, names):
            computed[key] = [{name: row[name] for name in row if name not in names} for row in value]
            measured[key] = [{name: row[name] for name in row if name in names} for row in value]
        else:
            computed[key] = value
    return {**computed, MEASURED: measured}


def flatten_record(record: Mapping[str, Any]) -> Record:
    """Put what was measured back among the rest.

    Args:
        record: as ``set_apart`` gives it; that of an older run, which is flat, stays as it is.

    Returns:
        The flat record, its tables whole again.
    """
    flat = {key: value for key, value in record.items() if key != MEASURED}
    measured = record.get(MEASURED, {})
    tables = {
        key: [row | clock for row, clock in zip(flat[key], measured[key], strict=True)]
        for key in measured
        if key in flat
    }
    return flat | measured | tables


def _has_columns(value: Any, names: Collection[str]) -> bool:
    return isinstance(value, list) and any(
        isinstance(row, Mapping) and not row.keys().isdisjoint(names) for row in value
    )
