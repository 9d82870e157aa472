"""The load of the machine during a run, measured by MLflow's own monitor."""

import logging
from typing import Any

from lottery_pipeline.options.extras import check_extra

logger = logging.getLogger(__name__)


def start_monitor(run_id: str, uri: str) -> Any:
    """Start MLflow's monitor for a run.

    Args:
        run_id: of the run in MLflow.
        uri: of the store.

    Returns:
        The monitor, whose ``finish`` stops it; None, after a warning, without the extra that it needs.
    """
    try:
        check_extra("psutil", "system")
    except ValueError as error:
        logger.warning("MLflow: no system metrics are logged: %s", error)
        return None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, tracking_uri=uri)
    monitor.start()
    return monitor
