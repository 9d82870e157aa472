"""Checkpoints of a run: removed once no later run would resume from them."""

from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.checkpoints import CheckpointsDataset
from lottery_pipeline.datasets.local_files import LocalFileDataset

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline


class CheckpointHooks:
    """Removes checkpoints that no later run would resume from."""

    def __init__(self) -> None:
        self._checkpoints: list[CheckpointsDataset] = []
        self._reused: set[str] = set()

    @hook_impl
    def before_pipeline_run(self, pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
        """Find the checkpoints of this run, and the outputs that a later run reads instead of making."""
        inputs = [catalog.get(name) for name in pipeline.inputs()]
        self._checkpoints = [dataset for dataset in inputs if isinstance(dataset, CheckpointsDataset)]
        stored = {dataset.path for dataset in inputs if isinstance(dataset, LocalFileDataset)}
        outputs = {name: catalog.get(name) for name in pipeline.all_outputs()}
        self._reused = {
            name
            for name, dataset in outputs.items()
            if isinstance(dataset, LocalFileDataset) and dataset.path in stored
        }

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Clear what led to an output that is now reused: no later run would look for it again."""
        if dataset_name in self._reused:
            self._clear()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Clear the rest; after a failure it stays, and the next run resumes from it."""
        self._clear()

    def _clear(self) -> None:
        for dataset in self._checkpoints:
            dataset.clear_used()
