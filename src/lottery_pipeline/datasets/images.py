"""Dataset for prepared images: train, validation and test parts in one safetensors file."""

from pathlib import Path
from typing import TYPE_CHECKING

from lottery_pipeline.datasets.local_files import LocalFileDataset, Recall
from lottery_pipeline.datasets.previews import PlotlyPreview, preview_figure

if TYPE_CHECKING:
    from lottery_pipeline.images.splits import ImageSplits


class ImageSplitsDataset(LocalFileDataset):
    """Prepared images with their statistics, class names and fingerprint."""

    def _read(self, path: Path) -> "ImageSplits":
        from lottery_pipeline.images.splits import load_splits

        return load_splits(path)

    def _write(self, path: Path, data: "ImageSplits") -> Recall:
        from lottery_pipeline.images.splits import save_splits

        save_splits(data, path)
        return lambda: data

    def preview(self, per_class: int = 8, max_classes: int = 20) -> PlotlyPreview:
        """Return some training images of each class for Kedro-Viz; only these are read."""

        def read(path: Path) -> str:
            from lottery_pipeline.images.profile import draw_samples
            from lottery_pipeline.images.samples import read_samples

            samples = read_samples(path, per_class=per_class, max_classes=max_classes)
            return str(draw_samples(samples, per_class, max_classes).to_json())

        return preview_figure(self, read)
