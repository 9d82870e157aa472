"""The MLflow run of a sweep: those of its points are within it, and its report goes into it."""

import os
from collections.abc import Mapping
from pathlib import Path

from lottery_pipeline.tracking.store import TrackingSettings
from lottery_pipeline.tracking.tracker import Tracker

EACH, PARENT, OFF = "each", "parent", "off"
PARENT_RUN = "LOTTERY_PARENT_RUN"  # of a point: the run that its own is within
SWEEP_RUN = "LOTTERY_SWEEP_RUN"  # of the report: the run that it goes into


class SweepRun:
    """The MLflow run of a sweep. It makes store and experiment, before many points would do so at once.

    Attributes:
        tracking: ``each``, ``parent`` or ``off``.
        identity: of the run in MLflow; empty without tracking.
        environment: variables that tell a point where its run belongs, or that it has none.
        own_environment: variables that tell the report.

    Args:
        settings: of ``mlflow.yml``.
        project: the project's folder.
        tracking: ``each`` or ``parent``.
        name: of the run.
        tags: of the run.
        previous: identity of the run that an earlier start of the sweep has opened, which is opened again.
    """

    def __init__(
        self,
        settings: TrackingSettings,
        project: Path,
        *,
        tracking: str,
        name: str,
        tags: Mapping[str, str],
        previous: str = "",
    ) -> None:
        self._tracker = Tracker()
        self.identity = ""
        if settings.enabled:
            self._tracker.start(
                settings,
                project,
                name=name,
                tags={**tags, "mlflow.source.name": f"kedro sweep {tags['sweep']}"},
                parameters={},
                opened=previous,
            )
            self.identity = self._tracker.identity
        self.tracking = tracking if self.identity else OFF
        self.environment = name_variables(self.tracking, self.identity)
        self.own_environment = {SWEEP_RUN: self.identity} if self.identity else {}

    def finish(self, status: str, error: BaseException | None = None) -> None:
        """Close the run as it ended."""
        self._tracker.finish(status, error=error)


def name_variables(tracking: str, identity: str) -> dict[str, str]:
    """Return the variables that tell a point where its run belongs, or that it has none.

    Args:
        tracking: of the sweep: ``each``, ``parent`` or ``off``.
        identity: of its run.
    """
    return {PARENT_RUN: identity} if tracking == EACH else {"LOTTERY_TRACKING": "false"}


def find_parent() -> str:
    """Return the run of the sweep that this process computes a point of; empty outside a sweep."""
    return os.environ.get(PARENT_RUN, "")


def find_own() -> str:
    """Return the run of the sweep that this process reports on; empty outside a sweep."""
    return os.environ.get(SWEEP_RUN, "")
