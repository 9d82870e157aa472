"""Data preparation: nodes on the digits, and where a relative root starts."""

from pathlib import Path

import numpy as np

from lottery_pipeline.images.splits_file import save_splits
from lottery_pipeline.parameters import DataParameters, WorkParameters
from lottery_pipeline.pipelines.data_preparation.nodes import describe_images, prepare_images


def test_images_are_prepared_once_and_described(work: WorkParameters, tmp_path: Path) -> None:
    request = DataParameters(train_limit=100)
    images = prepare_images(tmp_path, request, 0, work)
    save_splits(images, work.images)
    work.images.touch()
    before = work.images.stat().st_mtime_ns
    again = prepare_images(tmp_path, request, 0, work)
    assert (again.fingerprint, work.images.stat().st_mtime_ns) == (images.fingerprint, before)
    overview = describe_images(images)
    assert overview["summary"]["train"] == sum(row["train"] for row in overview["classes"]) == 100
    assert overview["samples"]["data"]


def test_a_relative_root_starts_at_the_folder_of_the_raw_images(work: WorkParameters, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x=pixels, y=np.arange(60) % 3)
    request = DataParameters(source="arrays", root="own.npz")
    assert prepare_images(tmp_path, request, 0, work).num_classes == 3
