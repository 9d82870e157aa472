"""Datasets for results: records and rows (JSON), tables (CSV), figures (plotly JSON), text (HTML)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.datasets.previews import JSONPreview, PlotlyPreview, TablePreview, tabulate
from lottery_pipeline.reproducibility.files import replace_atomically, write_atomically

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects


class RecordDataset(LocalFileDataset):
    """A JSON object, such as the metrics of a method."""

    def _read(self, path: Path) -> Any:
        return json.loads(path.read_text(encoding="utf-8"))

    def _write(self, path: Path, data: Any) -> None:
        # NaN is not valid JSON, and a metric that is not a number is a fault worth an error.
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(path, f"{text}\n".encode())

    def preview(self) -> JSONPreview:
        """Return the record for Kedro-Viz; empty if there is none yet."""
        return JSONPreview(json.dumps(self.load() if self.exists() else {}))


class RowsDataset(LocalFileDataset):
    """A JSON list of objects, such as the history of a training; previewed as a table."""

    def _read(self, path: Path) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return rows

    def _write(self, path: Path, data: list[dict[str, Any]]) -> None:
        # One row per line: readable, and a changed row shows as one changed line.
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in data]
        write_atomically(path, ("[\n" + ",\n".join(lines) + "\n]\n").encode())

    def preview(self, nrows: int = 50) -> TablePreview:
        """Return the first ``nrows`` rows for Kedro-Viz; none if there is no file yet."""
        return tabulate(self.load()[:nrows] if self.exists() else [])


class TableDataset(LocalFileDataset):
    """A ``pandas.DataFrame`` as CSV, without its index.

    Args:
        text_columns: columns that stay text as written; pandas would turn a class ``007`` into a number.
        **file: as for every ``LocalFileDataset``.
    """

    def __init__(self, *, text_columns: list[str] | None = None, **file: Any) -> None:
        super().__init__(**file)
        self._text_columns = text_columns or []

    def _read(self, path: Path) -> "pandas.DataFrame":
        import pandas

        types = dict.fromkeys(self._text_columns, str)
        # Only an empty cell is a missing value: that is how missing values are written.
        return pandas.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])

    def _write(self, path: Path, data: "pandas.DataFrame") -> None:
        with replace_atomically(path) as temporary:
            data.to_csv(temporary, index=False)

    def preview(self, nrows: int = 50) -> TablePreview:
        """Return the first ``nrows`` rows for Kedro-Viz; none if there is no file yet."""
        if not self.exists():
            return tabulate([])
        # Through JSON, because NaN is not valid JSON and Kedro-Viz sends what it gets.
        return tabulate(json.loads(self.load().head(nrows).to_json(orient="records")))


class FigureDataset(LocalFileDataset):
    """A plotly figure as JSON."""

    def _read(self, path: Path) -> "plotly.graph_objects.Figure":
        import plotly.io

        return plotly.io.from_json(path.read_text(encoding="utf-8"))

    def _write(self, path: Path, data: "plotly.graph_objects.Figure") -> None:
        write_atomically(path, data.to_json().encode())

    def preview(self) -> PlotlyPreview:
        """Return the figure for Kedro-Viz, which draws it; an empty one if there is none yet."""
        if not self.exists():
            return PlotlyPreview({"data": [], "layout": {}})
        return PlotlyPreview(json.loads(self.stored_path().read_text(encoding="utf-8")))


class TextDataset(LocalFileDataset):
    """Text in UTF-8, such as the report."""

    def _read(self, path: Path) -> str:
        return path.read_text(encoding="utf-8")

    def _write(self, path: Path, data: str) -> None:
        write_atomically(path, data.encode())
