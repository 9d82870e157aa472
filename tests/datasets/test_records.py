"""Records, rows, tables and figures: round trips and what Kedro-Viz is shown."""

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from kedro.io import DatasetError

from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.previews import PlotlyPreview, TablePreview
from lottery_pipeline.datasets.records import (
    FigureDataset,
    HistoryDataset,
    JSONDataset,
    ParquetDataset,
    RecordDataset,
    RowsDataset,
    TableDataset,
    TextDataset,
    TextFileDataset,
)
from lottery_pipeline.datasets.tickets import LadderDataset, TicketDataset
from lottery_pipeline.reproducibility.sums import ChangedFileError, find_sum

ROWS = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "note": ["a"]}]


def test_numbers_survive_bit_for_bit(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"accuracy": 0.1 + 0.2, "layers": [{"kept": 3}]})
    assert dataset.load() == {"accuracy": 0.1 + 0.2, "layers": [{"kept": 3}]}
    assert RecordDataset(filepath=str(tmp_path / "a.json")).load() == dataset.load()


def test_numbers_of_a_table_survive_bit_for_bit(tmp_path: Path) -> None:
    numbers = [0.34540389972144847, 0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308]
    TableDataset(filepath=str(tmp_path / "a.csv")).save(pd.DataFrame({"accuracy": numbers}))
    read = TableDataset(filepath=str(tmp_path / "a.csv")).load()
    assert read["accuracy"].tolist() == numbers


def test_a_record_is_previewed_by_its_values_and_those_of_its_parts(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    metrics = {
        "test_accuracy": 0.9777158774,
        "kept": 247568,
        "layers": [],
        "measured": {"seconds": 1234567.8},
    }
    dataset.save({"method": "ltr", "metrics": metrics, "samples": {"data": 1}, "history": [{"epoch": 1}]})
    assert dataset.preview() == {
        "index": [0, 1, 2, 3],
        "columns": ["name", "value"],
        "data": [["method", "ltr"], ["test_accuracy", 0.9777], ["kept", 247568], ["seconds", 1234568.0]],
    }
    assert dataset.preview(table="history")["data"] == [[1]]


EDITED: list[tuple[type[TextFileDataset], Any]] = [
    (JSONDataset, {"ltr": {"accuracy": 5}}),
    (RecordDataset, {"accuracy": 5}),
    (RowsDataset, [{"accuracy": 5}]),
    (HistoryDataset, [{"epoch": 1, "loss": 5}]),
    (TableDataset, pd.DataFrame({"accuracy": [5]})),
    (FigureDataset, go.Figure(go.Scatter(x=[1], y=[5]))),
]


@pytest.mark.parametrize(("kind", "data"), EDITED)
def test_a_file_that_was_edited_is_refused_and_named(
    kind: type[TextFileDataset], data: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.file"
    kind(filepath=str(path)).save(data)
    kind(filepath=str(path)).check()
    path.write_text(path.read_text().replace("5", "7"))
    dataset = kind(filepath=str(path))
    with pytest.raises(ChangedFileError, match=r"a\.file was changed after it was written"):
        dataset.check()
    with pytest.raises(DatasetError, match=r"a\.file was changed after it was written"):
        dataset.load()
    dataset.save(data)
    kind(filepath=str(path)).load()


def test_who_removes_the_sum_of_a_file_may_edit_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    RecordDataset(filepath=str(path)).save({"kept": 3})
    path.write_text('{"kept": 4}')
    find_sum(path).unlink()
    assert RecordDataset(filepath=str(path)).load() == {"kept": 4}


@pytest.mark.parametrize("rows", [ROWS, []])
def test_rows_survive(rows: list[dict[str, object]], tmp_path: Path) -> None:
    dataset = RowsDataset(filepath=str(tmp_path / "a.json"))
    dataset.save(rows)
    assert dataset.load() == rows


def test_rows_are_previewed_as_a_table(tmp_path: Path) -> None:
    dataset = RowsDataset(filepath=str(tmp_path / "a.json"))
    dataset.save(ROWS)
    preview = dataset.preview()
    assert preview["columns"] == ["epoch", "loss", "note"]
    assert preview["data"] == [[1, 0.5, None], [2, 0.25, '["a"]']]
    assert len(dataset.preview(nrows=1)["data"]) == 1


def test_a_table_survives_and_is_previewed_without_nan(tmp_path: Path) -> None:
    dataset = TableDataset(filepath=str(tmp_path / "a.csv"))
    table = pd.DataFrame({"method": ["lth", "ltr"], "accuracy": [0.1 + 0.2, None]})
    dataset.save(table)
    pd.testing.assert_frame_equal(dataset.load(), table)
    table["accuracy"] = [0.25, None]
    dataset.save(table)
    assert dataset.preview()["data"] == [["lth", 0.25], ["ltr", None]]


def test_a_parquet_table_keeps_its_types_and_is_the_same_file_each_time(tmp_path: Path) -> None:
    dataset = ParquetDataset(filepath=str(tmp_path / "a.parquet"))
    numbers = [0.34540389972144847, None]
    table = pd.DataFrame(
        {"method": ["lth", None], "kept": [1, 2], "accuracy": numbers, "free": [True, False]}
    )
    dataset.save(table)
    first = (tmp_path / "a.parquet").read_bytes()
    read = ParquetDataset(filepath=str(tmp_path / "a.parquet")).load()
    pd.testing.assert_frame_equal(read, dataset.load())
    assert read["accuracy"][0] == numbers[0]
    assert [read["kept"].dtype.kind, read["free"].dtype.kind] == ["i", "b"]
    assert (read["method"][0], pd.isna(read["method"][1])) == ("lth", True)
    assert dataset.preview(columns=["method", "kept"])["data"] == [["lth", 1], [None, 2]]
    dataset.save(table)
    assert (tmp_path / "a.parquet").read_bytes() == first


def test_a_parquet_table_that_was_damaged_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    ParquetDataset(filepath=str(path)).save(pd.DataFrame({"accuracy": [5.0]}))
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    dataset = ParquetDataset(filepath=str(path))
    with pytest.raises(ChangedFileError, match=r"a\.parquet was changed after it was written"):
        dataset.check()
    with pytest.raises(DatasetError, match=r"a\.parquet was changed after it was written"):
        dataset.load()
    assert "cannot be shown" in dataset.preview()["data"][0][0]


def test_a_table_shows_the_columns_asked_for_in_their_order(tmp_path: Path) -> None:
    dataset = TableDataset(filepath=str(tmp_path / "a.csv"))
    dataset.save(pd.DataFrame({"seed": [0], "method": ["ltr"], "test_accuracy": [0.98607242]}))
    preview = dataset.preview(columns=["test_accuracy", "absent", "method"])
    assert (preview["columns"], preview["data"]) == (["test_accuracy", "method"], [[0.9861, "ltr"]])
    assert dataset.preview(nrows=0)["data"] == []


def test_a_figure_survives(tmp_path: Path) -> None:
    dataset = FigureDataset(filepath=str(tmp_path / "a.json"))
    dataset.save(go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="ladder")))
    assert dataset.load().data[0].name == "ladder"
    assert dataset.preview()["data"][0]["y"] == [3, 4]


@pytest.mark.parametrize(
    ("kind", "preview"),
    [
        (RecordDataset, TablePreview),
        (RowsDataset, TablePreview),
        (HistoryDataset, PlotlyPreview),
        (TextDataset, TablePreview),
        (TableDataset, TablePreview),
        (ParquetDataset, TablePreview),
        (FigureDataset, PlotlyPreview),
        (TicketDataset, TablePreview),
        (LadderDataset, TablePreview),
        (DenseRunDataset, TablePreview),
        (ImageSplitsDataset, PlotlyPreview),
    ],
)
def test_the_return_type_tells_kedro_viz_what_a_preview_is(kind: type, preview: object) -> None:
    assert inspect.signature(kind.preview).return_annotation is preview  # type: ignore[attr-defined]


def test_text_columns_of_a_table_come_back_as_they_were_written(tmp_path: Path) -> None:
    dataset = TableDataset(filepath=str(tmp_path / "profile.csv"), text_columns=["class"])
    dataset.save(pd.DataFrame({"class": ["NA", "007", "cat"], "train": [1, 2, 3]}))
    assert dataset.load().to_dict("list") == {"class": ["NA", "007", "cat"], "train": [1, 2, 3]}
