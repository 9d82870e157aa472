"""Dataset for prepared images: train, validation and test parts in one safetensors file."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lottery_pipeline.datasets.local_files import LocalFileDataset, Recall
from lottery_pipeline.datasets.previews import PlotlyPreview, preview_figure

if TYPE_CHECKING:
    from lottery_pipeline.images.request import Storage
    from lottery_pipeline.images.splits import ImageSplits


class ImageSplitsDataset(LocalFileDataset):
    """Prepared images with their statistics, class names and fingerprint.

    Attributes:
        storage: where the pixels are while a node works, see ``ImageRequest``; a run sets it.
    """

    storage: 'Literal["auto"] | Storage' = "auto"

    def _read(self, path: Path) -> "ImageSplits":
        from lottery_pipeline.images.splits_file import load_splits

        return load_splits(path, self.storage)

    def _write(self, path: Path, data: "ImageSplits") -> Recall | None:
        from lottery_pipeline.images.splits_file import save_splits

        save_splits(data, path)
        return (lambda: data) if self.storage in ("auto", data.storage) else None

    def preview(self, per_class: int = 8, max_classes: int = 20) -> PlotlyPreview:
        """Return some training images of each class for Kedro-Viz; only these are read."""

        def read(path: Path) -> str:
            from lottery_pipeline.images.profile import draw_samples
            from lottery_pipeline.images.samples import read_samples

            samples = read_samples(path, per_class=per_class, max_classes=max_classes)
            return str(draw_samples(samples, per_class, max_classes).to_json())

        return preview_figure(self, read)
