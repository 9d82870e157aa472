"""Progress: which node runs, and how long it took."""

import logging
import time
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.left_out import find_reason

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)


class ProgressHooks:
    """Logs which node runs, and how long it took."""

    def __init__(self) -> None:
        self._count = 0
        self._total = 0
        self._started: dict[str, float] = {}

    @hook_impl
    def before_pipeline_run(self, pipeline: "Pipeline") -> None:
        """Count the nodes."""
        self._count, self._total = 0, len(pipeline.nodes)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: "Node", inputs: dict[str, Any]) -> None:
        """Name the node, unless it does nothing because its block is left out."""
        self._count += 1
        self._started[node.name] = time.monotonic()
        if find_reason(node.func, inputs.values()) is None:
            logger.info("[%d/%d] %s", self._count, self._total, node.name)

    @hook_impl
    def after_node_run(self, node: "Node") -> None:
        """Log the time of a node that took a second or more."""
        seconds = time.monotonic() - self._started.pop(node.name, time.monotonic())
        if seconds >= 1:
            logger.info("[%d/%d] %s: %.1f s", self._count, self._total, node.name, seconds)
