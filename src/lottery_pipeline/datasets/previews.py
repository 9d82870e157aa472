"""What datasets show in Kedro-Viz, where the name of a preview's type decides how it is drawn."""

import json
from typing import Any, NewType

TablePreview = NewType("TablePreview", dict[str, Any])  # index, columns, data
PlotlyPreview = NewType("PlotlyPreview", dict[str, Any])  # a plotly figure
JSONPreview = NewType("JSONPreview", str)


def tabulate(rows: list[dict[str, Any]]) -> TablePreview:
    """Arrange rows as Kedro-Viz shows tables; columns stand in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_as_cell(row.get(column)) for column in columns] for row in rows]
    return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": cells})


def _as_cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value
