"""Stored results: lazy, empty in a fresh project, and those of earlier versions."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.datasets.records import JSONDataset
from lottery_pipeline.datasets.stored_results import StoredResultsDataset


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_a_fresh_project_has_none(tmp_path: Path) -> None:
    dataset = StoredResultsDataset(filepath=str(tmp_path / "none"))
    assert dataset.load() == {}
    assert dataset.exists()
    assert dataset.preview()["data"] == []


def test_a_record_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "ltr" / "record.json", {"metrics": {"test_accuracy": 0.5}})
    (tmp_path / "empty").mkdir()
    stored = StoredResultsDataset(filepath=str(tmp_path)).load()
    write(tmp_path / "ltr" / "record.json", {"metrics": {"test_accuracy": 0.75}})
    assert list(stored) == ["ltr"]
    assert stored["ltr"]() == {"metrics": {"test_accuracy": 0.75}}


def test_what_methods_left_before_there_were_records_is_read_as_one(tmp_path: Path) -> None:
    write(tmp_path / "ltr" / "metrics.json", {"fingerprint": "a", "ticket": "b", "method": "ltr"})
    write(tmp_path / "ltr" / "history.json", [{"step": 1, "ticket": "a"}])
    write(tmp_path / "ltr" / "controls.json", [{"rung": 1, "ticket": "b"}])
    write(tmp_path / "sanity_rows.json", [{"check": "shuffle"}])
    stored = StoredResultsDataset(filepath=str(tmp_path)).load()
    assert stored["ltr"]() == {
        "metrics": {"fingerprint": "a", "ticket": "b", "method": "ltr"},
        "history": [{"step": 1}],
        "controls": [{"rung": 1}],
    }
    assert stored["sanity_checks"]() == {"rows": [{"check": "shuffle"}]}


def test_a_record_goes_before_its_parts(tmp_path: Path) -> None:
    write(tmp_path / "ltr" / "metrics.json", {"test_accuracy": 0.25})
    write(tmp_path / "ltr" / "record.json", {"metrics": {"test_accuracy": 0.5}})
    stored = StoredResultsDataset(filepath=str(tmp_path)).load()
    assert stored["ltr"]()["metrics"]["test_accuracy"] == 0.5


def test_parts_of_different_tickets_are_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "ltr" / "metrics.json", {"fingerprint": "a", "ticket": "b", "method": "ltr"})
    write(tmp_path / "ltr" / "history.json", [{"step": 1, "ticket": "other"}])
    with caplog.at_level(logging.WARNING):
        assert StoredResultsDataset(filepath=str(tmp_path)).load()["ltr"]() is None
    (record,) = caplog.records
    assert "ltr are left out: ltr.history belongs to another ticket" in record.getMessage()
    assert "`kedro run --pipelines ltr`" in record.getMessage()


def test_a_damaged_record_is_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ltr").mkdir()
    (tmp_path / "ltr" / "record.json").write_text('{"metrics": ')
    with caplog.at_level(logging.WARNING):
        assert StoredResultsDataset(filepath=str(tmp_path)).load()["ltr"]() is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", ["ltr/record.json", "ltr/metrics.json", "sanity_rows.json"])
def test_a_number_that_was_edited_is_left_out_and_named(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    JSONDataset(filepath=str(path)).save([{"accuracy": 0.5}] if "rows" in name else {"accuracy": 0.5})
    path.write_text(path.read_text().replace("0.5", "0.75"))
    with caplog.at_level(logging.WARNING):
        (read,) = StoredResultsDataset(filepath=str(tmp_path)).load().values()
        assert read() is None
    (record,) = caplog.records
    assert f"{path} was changed after it was written" in record.getMessage()


def test_a_note_that_was_edited_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ltr" / "record.json"
    JSONDataset(filepath=str(path)).save(LeftOut("ltr", "no time"))
    note = path.with_name("record.json.left_out")
    note.write_text(note.read_text().replace("no time", "no memory"))
    with caplog.at_level(logging.WARNING):
        assert StoredResultsDataset(filepath=str(tmp_path)).load()["ltr"]() is None
    (record,) = caplog.records
    assert f"{note} was changed after it was written" in record.getMessage()


def test_it_is_previewed_as_a_row_per_record(tmp_path: Path) -> None:
    write(tmp_path / "ltr" / "record.json", {"metrics": {"test_accuracy": 0.5, "density": 0.1, "seed": 0}})
    preview = StoredResultsDataset(filepath=str(tmp_path)).preview()
    assert preview["columns"] == ["block", "test_accuracy", "density", "seed"]
    assert preview["data"] == [["ltr", 0.5, 0.1, 0]]


def test_nothing_is_saved_here(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="by the blocks that make them"):
        StoredResultsDataset(filepath=str(tmp_path)).save({})  # type: ignore[arg-type]
