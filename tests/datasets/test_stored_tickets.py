"""Stored trained tickets: lazy, newest first, and empty in a fresh project."""

from pathlib import Path

import pytest
from kedro.io import DatasetError

from lottery_pipeline.datasets.stored_tickets import FILE, StoredTicketsDataset
from lottery_pipeline.tickets.errors import TicketError
from tests.tiny import draw_ticket


def store(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_ticket(seed=seed, kind="trained").save(path)


def test_a_fresh_project_has_none(tmp_path: Path) -> None:
    dataset = StoredTicketsDataset(filepath=str(tmp_path / "none"))
    assert dataset.load() == {}
    assert dataset.exists()
    assert dataset.preview()["data"] == []


def test_the_newest_version_is_read_and_a_file_without_versions_too(tmp_path: Path) -> None:
    store(tmp_path / "ltr" / FILE / "2026-01-01T00.00.00.000Z" / FILE, 1)
    store(tmp_path / "ltr" / FILE / "2026-01-02T00.00.00.000Z" / FILE, 2)
    store(tmp_path / "signature_embedding" / FILE, 3)
    (tmp_path / "snip").mkdir()
    dataset = StoredTicketsDataset(filepath=str(tmp_path))
    found = {block: read().header.seed for block, read in dataset.load().items()}
    assert found == {"ltr": 2, "signature_embedding": 3}
    assert [row[0] for row in dataset.preview()["data"]] == ["ltr", "signature_embedding"]


def test_none_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "ltr" / FILE
    path.parent.mkdir()
    path.write_bytes(b"no ticket")
    stored = StoredTicketsDataset(filepath=str(tmp_path)).load()
    with pytest.raises(TicketError):
        stored["ltr"]()


def test_nothing_can_be_saved(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="by the blocks that make them"):
        StoredTicketsDataset(filepath=str(tmp_path)).save({})
