"""Dataset for the dense run: its weights at three moments, its history and metrics."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from lottery_pipeline.datasets.local_files import LocalFileDataset

if TYPE_CHECKING:
    from lottery_pipeline.training.dense import DenseRun

logger = logging.getLogger(__name__)


class DenseRunDataset(LocalFileDataset):
    """A dense run in one safetensors file; with ``missing_ok``, an older version's counts as missing."""

    def _read(self, path: Path) -> "DenseRun | None":
        from lottery_pipeline.training.dense import OutdatedDenseRunError, load_dense_run

        try:
            return load_dense_run(path)
        except OutdatedDenseRunError as error:
            if not self.missing_ok:
                raise
            logger.warning("A stored dense run is computed again: %s.", error)
            return None

    def _write(self, path: Path, data: "DenseRun") -> None:
        from lottery_pipeline.training.dense import save_dense_run

        save_dense_run(data, path)
