"""What datasets show in Kedro-Viz, where the name of a preview's type decides how it is drawn.

A preview never raises. Without a file it is empty; of a file that cannot be read, it says so in one line.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NewType

from lottery_pipeline.datasets.local_files import LocalFileDataset

TablePreview = NewType("TablePreview", dict[str, Any])  # index, columns, data
PlotlyPreview = NewType("PlotlyPreview", dict[str, Any])  # a plotly figure

Rows = Iterable[Mapping[str, Any]]

_DIGITS = 4
_LONGEST_MESSAGE = 300


def preview_table(dataset: LocalFileDataset, read: Callable[[Path], Rows]) -> TablePreview:
    """Tabulate what ``read`` finds in the file of a dataset."""
    if not dataset.exists():
        return tabulate([])
    try:
        return tabulate(read(dataset.stored_path()))
    except Exception as error:  # a damaged file may raise anything
        return tabulate([{"note": _explain(error)}])


def preview_figure(dataset: LocalFileDataset, read: Callable[[Path], str]) -> PlotlyPreview:
    """Show the figure that ``read`` makes, as JSON, of the file of a dataset."""
    if not dataset.exists():
        return PlotlyPreview({"data": [], "layout": {}})
    try:
        # NaN is not valid JSON; a gap is drawn for None, too.
        figure = dict(json.loads(read(dataset.stored_path()), parse_constant=lambda _: None))
    except Exception as error:  # a damaged file may raise anything
        figure = {"data": [], "layout": {"title": {"text": _explain(error), "font": {"size": 12}}}}
    return PlotlyPreview(figure)


def tabulate(rows: Rows) -> TablePreview:
    """Arrange rows as Kedro-Viz shows tables, in plain JSON with numbers short enough to read.

    Columns stand in the order in which they first appear.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_as_cell(row.get(column)) for column in columns] for row in rows]
    return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": cells})


def list_pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make a row of name and value of each item."""
    return [{"name": name, "value": value} for name, value in values.items()]


def _as_cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    # Digits before the point stay: a count that a table made a float is not rounded.
    return float(round(value)) if abs(value) >= 10**_DIGITS else float(f"{value:.{_DIGITS}g}")


def _explain(error: Exception) -> str:
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return f"this file cannot be shown: {message[:_LONGEST_MESSAGE]}"
