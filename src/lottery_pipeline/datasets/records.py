"""Datasets for results: records and rows (JSON), histories (rows drawn as curves), tables, figures, text."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.datasets.cells import protect, protect_table, restore_table
from lottery_pipeline.datasets.local_files import LocalFileDataset, Recall
from lottery_pipeline.datasets.previews import (
    PlotlyPreview,
    Rows,
    TablePreview,
    list_pairs,
    preview_figure,
    preview_table,
)
from lottery_pipeline.reproducibility.sums import (
    check_sum,
    remove_with_sum,
    sum_bytes,
    sum_json,
    write_with_sum,
)

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

# The parts of a record whose values are shown with its own.
_SHOWN_PARTS = ("metrics", "summary", "measured")


class SummedFileDataset(LocalFileDataset):
    """A file with its sum beside it: one that was changed after it was written is refused when it is read.

    What is loaded is always what the file says, also where it comes from memory. It is parsed anew for every
    reader: what one node changes, no other sees.
    """

    @abstractmethod
    def _decode(self, content: bytes) -> Any: ...

    @abstractmethod
    def _encode(self, data: Any) -> bytes: ...

    def _sum(self, content: bytes) -> str:
        return sum_bytes(content)

    def _read(self, path: Path) -> Any:
        content = path.read_bytes()
        check_sum(path, content, self._sum)
        return self._decode(content)

    def _write(self, path: Path, data: Any) -> Recall:
        content = self._encode(data)
        write_with_sum(path, content, self._sum)
        return partial(self._decode, content)

    def _remove(self, path: Path) -> None:
        remove_with_sum(path)

    def check(self) -> None:
        """Check the stored file, too, if there is one."""
        super().check()
        if self.exists():
            path = self.stored_path()
            check_sum(path, path.read_bytes(), self._sum)


class TextFileDataset(SummedFileDataset):
    """A file of text in UTF-8; subclasses say what stands in it."""

    @abstractmethod
    def _parse(self, text: str) -> Any: ...

    @abstractmethod
    def _print(self, data: Any) -> str: ...

    def _decode(self, content: bytes) -> Any:
        return self._parse(content.decode())

    def _encode(self, data: Any) -> bytes:
        return self._print(data).encode()


class JSONDataset(TextFileDataset):
    """A JSON value."""

    def _sum(self, content: bytes) -> str:
        return sum_json(content)

    def _parse(self, text: str) -> Any:
        return json.loads(text)

    def _print(self, data: Any) -> str:
        # NaN is not valid JSON, and a metric that is not a number is a fault worth an error.
        if not isinstance(data, list):
            return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        # One row per line: readable, and a changed row is one changed line.
        rows = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in data]
        return "[\n" + ",\n".join(rows) + "\n]\n"


class RecordDataset(JSONDataset):
    """A JSON object, such as the record of a method."""

    def preview(self, table: str | None = None, nrows: int = 50) -> TablePreview:
        """Return the record's own values and those of its metrics or summary, for Kedro-Viz.

        Args:
            table: a list of rows in the record, shown instead.
            nrows: at most so many of them.
        """

        def read(path: Path) -> Rows:
            record = self._read(path)
            return record[table][:nrows] if table else list_pairs(_list_values(record))

        return preview_table(self, read)


class RowsDataset(JSONDataset):
    """A JSON list of objects, previewed as a table."""

    def preview(self, nrows: int = 50) -> TablePreview:
        """Return the first ``nrows`` rows for Kedro-Viz."""
        return preview_table(self, lambda path: self._read(path)[:nrows])


class HistoryDataset(JSONDataset):
    """The rows of a training or of the trace of a search, previewed as curves."""

    def preview(self, part: str | None = None) -> PlotlyPreview:
        """Return the curves for Kedro-Viz, or a table of rows that are no curves.

        Args:
            part: of a record, if the rows are a part of one.
        """

        def read(path: Path) -> str:
            from lottery_pipeline.reporting.history_figure import draw_history

            content = self._read(path)
            return str(draw_history(content[part] if part else content).to_json())

        return preview_figure(self, read)


class FrameDataset(SummedFileDataset):
    """A ``pandas.DataFrame`` without its index, previewed as a table; subclasses say in which format."""

    def preview(self, nrows: int = 50, columns: list[str] | None = None) -> TablePreview:
        """Return the first rows for Kedro-Viz, which shows only some columns of a wide table.

        Args:
            nrows: how many.
            columns: those to show, in this order, where the table has them; all by default.
        """

        def read(path: Path) -> Rows:
            table = self._read(path).head(nrows)
            if columns:
                table = table[[column for column in columns if column in table]]
            rows: Rows = json.loads(table.to_json(orient="records"))
            return rows

        return preview_table(self, read)


class TableDataset(FrameDataset, TextFileDataset):
    """A table as CSV; no cell is a formula to a spreadsheet.

    Args:
        text_columns: columns that stay text as written; pandas would turn a class ``007`` into a number.
        **file: as for every ``LocalFileDataset``.
    """

    def __init__(self, *, text_columns: list[str] | None = None, **file: Any) -> None:
        super().__init__(**file)
        self._text_columns = text_columns or []

    def _parse(self, text: str) -> "pandas.DataFrame":
        import pandas

        types = dict.fromkeys(map(protect, self._text_columns), str)
        # pandas 2 reads some numbers a bit off unless it is told not to; later ones have nothing to be told.
        exact: dict[str, Any] = {"float_precision": "round_trip"} if pandas.__version__ < "3" else {}
        # Only an empty cell is a missing value: that is how missing values are written.
        return restore_table(
            pandas.read_csv(StringIO(text), dtype=types, keep_default_na=False, na_values=[""], **exact)
        )

    def _print(self, data: "pandas.DataFrame") -> str:
        return protect_table(data).to_csv(index=False)


class ParquetDataset(FrameDataset):
    """A table as Parquet, which keeps the types of its columns and is small where there are many rows."""

    def _decode(self, content: bytes) -> "pandas.DataFrame":
        import pandas

        return pandas.read_parquet(BytesIO(content), engine="pyarrow")

    def _encode(self, data: "pandas.DataFrame") -> bytes:
        content: bytes = data.to_parquet(engine="pyarrow", index=False)
        return content


class FigureDataset(TextFileDataset):
    """A plotly figure as JSON."""

    def _parse(self, text: str) -> "plotly.graph_objects.Figure":
        import plotly.io

        return plotly.io.from_json(text)

    def _print(self, data: "plotly.graph_objects.Figure") -> str:
        return str(data.to_json())

    def preview(self) -> PlotlyPreview:
        """Return the figure for Kedro-Viz, which draws it."""
        return preview_figure(self, lambda path: path.read_text(encoding="utf-8"))


class TextDataset(TextFileDataset):
    """Text, such as the report."""

    def _parse(self, text: str) -> str:
        return text

    def _print(self, data: str) -> str:
        return data

    def preview(self) -> TablePreview:
        """Return the headline of a report for Kedro-Viz: its title, facts and headline numbers."""
        from lottery_pipeline.datasets.headline import read_headline

        return preview_table(self, lambda path: list_pairs(read_headline(path)))


def _list_values(record: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in record.items():
        if name in _SHOWN_PARTS and isinstance(value, Mapping):
            values |= _list_values(value)
        elif not isinstance(value, (dict, list)):
            values[name] = value
    return values
