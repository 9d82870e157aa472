"""Raw images: a folder that is only read."""

from pathlib import Path

import pytest
from kedro.io import DatasetError

from lottery_pipeline.datasets.raw_images import RawImagesDataset


def test_it_is_the_folder_that_relative_roots_start_at(tmp_path: Path) -> None:
    dataset = RawImagesDataset(filepath=str(tmp_path))
    assert dataset.load() == tmp_path
    assert dataset.exists()
    assert not RawImagesDataset(filepath=str(tmp_path / "none")).exists()


def test_it_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not written"):
        RawImagesDataset(filepath=str(tmp_path)).save(b"")  # type: ignore[arg-type]
