"""Dataset for prepared images: train, validation and test parts in one safetensors file."""

from pathlib import Path
from typing import TYPE_CHECKING

from lottery_pipeline.datasets.local_files import LocalFileDataset

if TYPE_CHECKING:
    from lottery_pipeline.images.splits import ImageSplits


class ImageSplitsDataset(LocalFileDataset):
    """Prepared images with their statistics, class names and fingerprint."""

    def _read(self, path: Path) -> "ImageSplits":
        from lottery_pipeline.images.splits import load_splits

        return load_splits(path)

    def _write(self, path: Path, data: "ImageSplits") -> None:
        from lottery_pipeline.images.splits import save_splits

        save_splits(data, path)
