"""Project settings that Kedro reads; see https://docs.kedro.org/en/stable/configure/configuration_basics/."""

import os

from lottery_pipeline.configuration import ExperimentConfigLoader, read_environment
from lottery_pipeline.hooks import CheckpointHooks, ProgressHooks, RequestHooks
from lottery_pipeline.tracking_hooks import TrackingHooks

# Nothing is reported to anybody, by Kedro (see also .telemetry) or by MLflow.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

HOOKS = (RequestHooks(), ProgressHooks(), CheckpointHooks(), TrackingHooks())
# Our hook tracks alone.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro-telemetry")

CONFIG_LOADER_CLASS = ExperimentConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An experiment changes keys of a group and keeps the others, and so does --params.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
    "custom_resolvers": {"oc.env": read_environment},
}
