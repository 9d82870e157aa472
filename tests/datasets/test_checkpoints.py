"""The checkpoints of a run: one object for all its nodes."""

from pathlib import Path

import pytest
import torch
from kedro.io import DatasetError

from lottery_pipeline.datasets.checkpoints import CheckpointsDataset


def test_all_nodes_share_one_object(tmp_path: Path) -> None:
    dataset = CheckpointsDataset(filepath=str(tmp_path), interval_seconds=3, limit=5)
    checkpoints = dataset.load()
    assert dataset.load() is checkpoints
    assert (checkpoints.folder, checkpoints.interval_seconds, checkpoints.limit) == (tmp_path, 3, 5)


def test_clearing_removes_what_this_run_used_and_nothing_else(tmp_path: Path) -> None:
    other = CheckpointsDataset(filepath=str(tmp_path))
    other.load().save("a" * 64, {"w": torch.ones(2)}, {})
    dataset = CheckpointsDataset(filepath=str(tmp_path))
    dataset.load().save("b" * 64, {"w": torch.ones(2)}, {})
    dataset.clear_used()
    assert [path.name for path in tmp_path.iterdir()] == [f"{'a' * 64}.safetensors"]


def test_clearing_before_any_use_imports_and_removes_nothing(tmp_path: Path) -> None:
    CheckpointsDataset(filepath=str(tmp_path / "none")).clear_used()
    assert not (tmp_path / "none").exists()


def test_nothing_is_saved_through_the_catalog(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not through the catalog"):
        CheckpointsDataset(filepath=str(tmp_path)).save(1)  # type: ignore[arg-type]
