"""Dataset for the dense run: its weights at three moments, its history and metrics."""

from pathlib import Path
from typing import TYPE_CHECKING

from lottery_pipeline.datasets.local_files import LocalFileDataset

if TYPE_CHECKING:
    from lottery_pipeline.training.dense import DenseRun


class DenseRunDataset(LocalFileDataset):
    """A dense run in one safetensors file."""

    def _read(self, path: Path) -> "DenseRun":
        from lottery_pipeline.training.dense import load_dense_run

        return load_dense_run(path)

    def _write(self, path: Path, data: "DenseRun") -> None:
        from lottery_pipeline.training.dense import save_dense_run

        save_dense_run(data, path)
