"""What a run has saved stays in memory until Kedro releases it, and is what the file says."""

import math
import pickle
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from kedro.io import DataCatalog, DatasetError, Version
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner

from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.records import (
    FigureDataset,
    HistoryDataset,
    RecordDataset,
    TableDataset,
    TextDataset,
)
from lottery_pipeline.datasets.tickets import LadderDataset, TicketDataset
from tests.tiny import OWN_MODEL, draw_images, extract, pretrain_tiny

OLD, NEW = "2026-01-01T00.00.00.000Z", "2026-02-01T00.00.00.000Z"


def test_what_a_run_saved_is_not_read_back_until_kedro_releases_it(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"accuracy": 0.5})
    (tmp_path / "a.json").unlink()
    assert dataset.load() == dataset.load() == {"accuracy": 0.5}
    dataset.release()
    with pytest.raises(DatasetError, match="there is no file"):
        dataset.load()


def test_after_the_release_the_file_counts(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"accuracy": 0.5})
    RecordDataset(filepath=str(tmp_path / "a.json")).save({"accuracy": 0.75})
    assert dataset.load() == {"accuracy": 0.5}
    dataset.release()
    assert dataset.load() == {"accuracy": 0.75}


def test_only_saving_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1]")
    dataset = HistoryDataset(filepath=str(path))
    assert dataset.load() == [1]
    path.write_text("[2]")
    assert dataset.load() == [2]


@pytest.mark.parametrize(
    ("saved", "read"),
    [({"pair": (1, 2), 3: None, "ü": True}, {"pair": [1, 2], "3": None, "ü": True}), ([(1,)], [[1]])],
)
def test_from_memory_comes_what_another_process_reads(saved: object, read: object, tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save(saved)
    assert dataset.load() == read
    assert RecordDataset(filepath=str(tmp_path / "a.json")).load() == read


def test_what_one_reader_changes_no_other_sees(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"rows": [1]})
    dataset.load()["rows"].append(2)
    assert dataset.load() == {"rows": [1]}


def test_a_pinned_version_is_read_although_another_was_saved(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    RecordDataset(filepath=path, version=Version(None, OLD)).save({"run": "old"})
    dataset = RecordDataset(filepath=path, version=Version(OLD, NEW))
    with pytest.warns(UserWarning, match="did not match load version"):
        dataset.save({"run": "new"})
    assert dataset.load() == {"run": "old"}


def test_the_version_that_was_saved_comes_from_memory(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"), version=Version(None, OLD))
    dataset.save({"run": "ours"})
    (tmp_path / "a.json" / OLD / "a.json").write_text("{}")
    assert dataset.load() == {"run": "ours"}


def test_a_worker_gets_no_memory(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"accuracy": 0.5})
    worker = pickle.loads(pickle.dumps(dataset))
    (tmp_path / "a.json").unlink()
    with pytest.raises(DatasetError, match="there is no file"):
        worker.load()
    assert dataset.load() == {"accuracy": 0.5}


def test_a_table_is_what_its_file_says_with_and_without_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    table = TableDataset(filepath=str(path), text_columns=["class"])
    table.save(pd.DataFrame({"class": ["007", "a\r\nb"], "note": pd.Series([None, "x"], dtype=object)}))
    read = TableDataset(filepath=str(path), text_columns=["class"]).load()
    path.unlink()
    pd.testing.assert_frame_equal(table.load(), read)
    assert math.isnan(table.load()["note"][0])
    assert table.load()["class"].tolist() == ["007", "a\r\nb"]


def test_texts_and_figures_come_back_as_they_were_saved(tmp_path: Path) -> None:
    text, figure = TextDataset(filepath=str(tmp_path / "a")), FigureDataset(filepath=str(tmp_path / "b"))
    text.save("a\r\nb")
    figure.save(go.Figure(go.Bar(x=("a",), y=(1,))))
    again = [TextDataset(filepath=str(tmp_path / "a")), FigureDataset(filepath=str(tmp_path / "b"))]
    assert [dataset.load() for dataset in again] == [text.load(), figure.load()]
    for name in ("a", "b"):
        (tmp_path / name).unlink()
    assert text.load() == "a\r\nb"
    assert figure.load().data[0].x == ("a",)


def test_images_dense_runs_tickets_and_ladders_are_kept_as_they_are(tmp_path: Path) -> None:
    images = draw_images()
    dense = pretrain_tiny(images)
    found = extract("ltr", images, dense, density=0.3, rate=0.5)
    for kind, value in (
        (ImageSplitsDataset, images),
        (DenseRunDataset, dense),
        (TicketDataset, found.ticket),
        (LadderDataset, found.ladder),
    ):
        path, again = tmp_path / f"{kind.__name__}.safetensors", tmp_path / f"{kind.__name__}_again"
        dataset = kind(filepath=str(path))
        dataset.allow_factory = OWN_MODEL
        dataset.save(value)
        assert dataset.load() is value
        assert pickle.loads(pickle.dumps(dataset)).path == path  # what is kept need not be picklable
        dataset.release()
        read = dataset.load()
        assert read is not value
        kind(filepath=str(again)).save(read)
        assert again.read_bytes() == path.read_bytes()


def test_what_is_large_is_read_back_as_it_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lottery_pipeline.datasets.local_files.HELD_BYTES", 1000)
    images = draw_images()
    dense = pretrain_tiny(images)
    found = extract("ltr", images, dense, density=0.3, rate=0.5)
    for kind, value in (
        (DenseRunDataset, dense),
        (TicketDataset, found.ticket),
        (LadderDataset, found.ladder),
    ):
        dataset = kind(filepath=str(tmp_path / kind.__name__ / "a"), version=Version(None, OLD))
        dataset.allow_factory = OWN_MODEL
        dataset.save(value)
        read = dataset.load()
        assert read is not value
        assert read.fingerprint == value.fingerprint


def test_kedro_releases_what_no_later_node_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = DataCatalog({"record": RecordDataset(filepath=str(tmp_path / "a.json"))})
    nodes = [
        node(lambda: {"kept": 3}, None, "record", name="make"),
        node(lambda record: record["kept"], "record", "kept", name="use"),
    ]
    reads: list[Path] = []
    monkeypatch.setattr(RecordDataset, "_read", lambda _, path: reads.append(path))
    found = SequentialRunner().run(pipeline(nodes), catalog)
    assert found["kept"].load() == 3
    assert reads == []
    catalog.load("record")
    assert reads == [tmp_path / "a.json"]
