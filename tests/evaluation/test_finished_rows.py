"""Rows of a study: made once, kept at once, and apart from those of another study."""

import pytest
import torch

from lottery_pipeline.evaluation.finished_rows import FinishedRows
from lottery_pipeline.reproducibility.checkpoints import Checkpoints

A_FINGERPRINT = "a" * 64


class Maker:
    """Makes numbered rows, with a file of its own while it works."""

    def __init__(self, fails_at=None):
        self.made = 0
        self.fails_at = fails_at
        self.folders = []

    def __call__(self, checkpoints):
        if checkpoints is not None:
            self.folders.append(checkpoints.save(A_FINGERPRINT, {"x": torch.zeros(1)}, {}).parent)
        if self.made == self.fails_at:
            raise KeyboardInterrupt
        self.made += 1
        return {"number": self.made}


def open_rows(folder, **identity):
    return FinishedRows(Checkpoints(folder, interval_seconds=0), "study", identity)


def test_a_row_is_made_once_and_read_by_the_next_run(tmp_path):
    maker = Maker()
    for _ in range(2):
        rows = open_rows(tmp_path)
        assert rows.make({"arm": "a"}, maker) == {"number": 1}
        assert rows.make({"arm": "b"}, maker) == {"number": 2}
    assert maker.made == 2


def test_a_killed_row_leaves_its_work_and_the_finished_ones(tmp_path):
    maker = Maker(fails_at=1)
    rows = open_rows(tmp_path)
    rows.make({"arm": "a"}, maker)
    with pytest.raises(KeyboardInterrupt):
        rows.make({"arm": "b"}, maker)
    finished, killed = maker.folders
    assert not finished.exists()
    assert [path.stem for path in killed.iterdir()] == [A_FINGERPRINT]
    again = Maker()
    rows = open_rows(tmp_path)
    assert rows.make({"arm": "a"}, again) == {"number": 1}
    assert again.made == 0
    rows.make({"arm": "b"}, again)
    assert again.folders == [killed]


def test_another_identity_is_another_study(tmp_path):
    maker = Maker()
    for seed in (0, 1, 0):
        open_rows(tmp_path, seed=seed).make({"arm": "a"}, maker)
    assert maker.made == 2
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_shared_work_stays_until_the_study_is_closed(tmp_path):
    rows = open_rows(tmp_path)
    shared = rows.open("shared")
    shared.save(A_FINGERPRINT, {"x": torch.zeros(1)}, {})
    rows.make({"arm": "a"}, Maker())
    assert open_rows(tmp_path).open("shared").load(A_FINGERPRINT) is not None
    rows.close()
    assert not shared.folder.exists()
    assert open_rows(tmp_path).make({"arm": "a"}, Maker(fails_at=0)) == {"number": 1}


def test_without_checkpoints_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maker = Maker()
    rows = FinishedRows(None, "study", {})
    assert rows.make({"arm": "a"}, maker) == rows.make({"arm": "a"}, maker) == {"number": 1}
    assert rows.open("shared") is None
    rows.close()
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_is_changed_by_its_reader_stays_as_it_was(tmp_path):
    rows = open_rows(tmp_path)
    rows.make({"arm": "a"}, Maker())["number"] = 7
    assert rows.make({"arm": "a"}, Maker()) == {"number": 1}
