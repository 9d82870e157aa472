"""Checkpoints of a run: removed once no later run would resume from them."""

import time
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.hooks.claims import has_workers
from lottery_pipeline.hooks.guards import find_failures
from lottery_pipeline.parameters import WorkParameters

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline


class CheckpointHooks:
    """Removes checkpoints that no later run would resume from."""

    def __init__(self) -> None:
        self._workers_began: float | None = None
        self._work: WorkParameters | None = None
        self._reused: set[str] = set()

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: "Pipeline", catalog: "CatalogProtocol"
    ) -> None:
        """Find the checkpoints of this run, and the outputs that a later run reads instead of making.

        What killed runs have left of its outputs is removed: this run holds their locks.
        """
        self._workers_began = time.time() if has_workers(run_params) else None
        works = "params:work" in pipeline.inputs()
        self._work = catalog.load("params:work") if works else None
        outputs = {name: catalog.get(name) for name in pipeline.all_outputs()}
        self._reused = {
            name
            for name, dataset in outputs.items()
            if isinstance(dataset, (DenseRunDataset, ImageSplitsDataset))
        }
        for dataset in outputs.values():
            if isinstance(dataset, LocalFileDataset):
                dataset.remove_left_overs()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Clear what led to an output that is now reused: no later run would look for it again."""
        if dataset_name in self._reused and not isinstance(data, LeftOut):
            self._clear()

    @hook_impl
    def after_pipeline_run(self, pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
        """Clear the rest; after a failure it stays, and the next run resumes from it."""
        if not find_failures(pipeline, catalog):
            self._clear()
            self._clear_of_workers()

    def _clear(self) -> None:
        if self._work is not None:
            self._work.open_checkpoints().clear_used()

    def _clear_of_workers(self) -> None:
        """Clear what workers have used, of which they alone know the names; they have ended."""
        if self._work is not None and self._workers_began is not None:
            self._work.open_checkpoints().clear_since(self._workers_began)
