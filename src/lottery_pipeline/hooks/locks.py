"""Locks of a run: what it writes has one writer at a time; a second is refused, and the first is named."""

import atexit
import logging
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.hooks.claims import (
    REPORT,
    SHARED,
    advise,
    claim_of,
    describe_holder,
    describe_refusal,
    find_claims,
    has_workers,
)
from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.parameters import to_plain
from lottery_pipeline.reproducibility.locks import HeldError, Locks, NoLocksError, Wanted
from lottery_pipeline.reproducibility.storage import StorageError

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 15.0  # waiting for a run of the same parameters: reading what is stored takes seconds
_PAUSE_SECONDS = 0.2


class LockHooks:
    """Takes a lock for everything that a run writes.

    The results of a method are locked for the whole run. The prepared images and the dense run are locked
    until they are written, and shared from then on with runs of the same parameters. The report is locked
    before its first node; a run waits for it, because hours of work must not be lost to a report.
    """

    def __init__(self) -> None:
        self._locks: Locks | None = None
        self._process = 0
        self._unsaved: dict[str, set[str]] = {}  # by lock to be shared: outputs still to come
        self._turn = threading.RLock()  # nodes may run in threads
        self._catalog: CatalogProtocol | None = None
        self._warned = False

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: "Pipeline", catalog: "CatalogProtocol"
    ) -> None:
        """Take the locks, or refuse the run."""
        self._release()  # Ctrl-C in a notebook, or a refusal by another hook, ends a run without notice
        parameters = to_plain(catalog.load("parameters"))
        if "work" not in parameters:
            return
        folder = Path(parameters["work"]["checkpoints"]) / "locks"
        wanted = {lock.name: lock for lock in find_claims(pipeline, parameters)}
        if has_workers(run_params):
            # Its workers call no hooks here, so nothing can be shared or taken during the run.
            wanted = {name: replace(lock, digest="") for name, lock in wanted.items()}
        else:
            wanted.pop(REPORT, None)  # taken before its first node
        self._locks, self._process, self._catalog = Locks(folder), os.getpid(), catalog
        self._unsaved = {
            name: {output for node in pipeline.nodes if claim_of(node) == name for output in node.outputs}
            for name, lock in wanted.items()
            if lock.digest
        }
        atexit.register(self._release)
        try:
            self._take(self._locks, list(wanted.values()))
        except HeldError as error:
            self._release()
            raise RunRefusedError(describe_refusal(error)) from error
        except NoLocksError as error:
            self._carry_on_without(error)
        except StorageError as error:
            self._locks = None
            raise RunRefusedError(str(error)) from error

    @hook_impl
    def before_node_run(self, node: "Node") -> None:
        """Lock the report before its first node."""
        locks = self._own_locks()
        if locks is None or claim_of(node) != REPORT:
            return
        with self._turn:
            if not locks.has(REPORT):
                self._wait_for_report(locks)

    @hook_impl
    def after_node_run(self, node: "Node", outputs: dict[str, Any]) -> None:
        """Refuse to replace what other runs share: their inputs would change while they run."""
        locks, name = self._own_locks(), claim_of(node)
        if locks is None or self._catalog is None or not locks.has_joined(name):
            return
        for key, value in outputs.items():
            dataset = self._catalog.get(key)
            if not isinstance(dataset, (ImageSplitsDataset, DenseRunDataset)):
                continue
            if not dataset.exists() or dataset.load().fingerprint != value.fingerprint:
                raise RunRefusedError(
                    f"Other runs of this variant use {SHARED[name][0]} in {dataset.path}, and this run "
                    f"would replace it; {advise('they have')}."
                )

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Share a lock once all that it protects is written."""
        locks = self._own_locks()
        if locks is None:
            return
        with self._turn:
            for name, unsaved in self._unsaved.items():
                if dataset_name in unsaved:
                    unsaved.discard(dataset_name)
                    if not unsaved and not locks.has_joined(name):
                        locks.share(name)

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Release all, after the other hooks have cleaned up."""
        self._release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Release all."""
        self._release()

    def _take(self, locks: Locks, wanted: list[Wanted]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                locks.take(wanted)
            except HeldError as error:
                same = {holder.digest for holder in error.holders} == {error.wanted.digest} != {""}
                if not (same and error.writing) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _wait_for_report(self, locks: Locks) -> None:
        told = False
        while True:
            try:
                locks.take([Wanted(REPORT, "the report")])
            except HeldError as error:
                if not told:
                    who = describe_holder(next(iter(error.holders), None))
                    logger.info("Waiting for the report, which another run is writing (%s).", who)
                told = True
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _own_locks(self) -> Locks | None:
        return self._locks if os.getpid() == self._process else None

    def _carry_on_without(self, error: NoLocksError) -> None:
        self._locks = None
        if not self._warned:
            self._warned = True
            logger.warning(
                "Files cannot be locked here (%s): make sure that no two runs write the same variant.", error
            )

    def _release(self) -> None:
        locks, self._locks, self._unsaved = self._locks, None, {}
        atexit.unregister(self._release)
        if locks is not None:
            locks.release()
