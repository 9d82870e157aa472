"""Tracking: all that talks to MLflow. Nodes log through ``current()``."""

from lottery_pipeline.tracking.tracker import current

__all__ = ["current"]
