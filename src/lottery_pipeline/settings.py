"""Project settings that Kedro reads; see https://docs.kedro.org/en/stable/configure/configuration_basics/."""

import os
from typing import Any

from kedro.config import OmegaConfigLoader

from lottery_pipeline.hooks.checkpoints import CheckpointHooks
from lottery_pipeline.hooks.credentials import CredentialHooks
from lottery_pipeline.hooks.locks import LockHooks
from lottery_pipeline.hooks.progress import ProgressHooks
from lottery_pipeline.hooks.requests import RequestHooks
from lottery_pipeline.tracking.hook import TrackingHooks


class ExperimentConfigLoader(OmegaConfigLoader):
    """Kedro's loader with one more global: ``experiment``, the name of the environment, or ``base``.

    If each ``globals.yml`` had to name it, a new experiment that forgot it would overwrite the results of
    another.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self["globals"] = {**self._globals, "experiment": self.env or self.base_env}


def read_environment(name: str, default: str) -> str:
    """Return an environment variable, for ``${oc.env:NAME,default}``; an empty one counts as absent."""
    return os.environ.get(name) or default


# Neither Kedro (see also .telemetry) nor MLflow reports anything to anybody.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Among hooks marked first or last, Kedro puts a later one further out. So a run is refused for its own faults
# before it asks for locks, and it releases its locks before RequestHooks turns an error into a sentence.
HOOKS = (
    LockHooks(),
    RequestHooks(),
    CredentialHooks(),
    ProgressHooks(),
    CheckpointHooks(),
    TrackingHooks(),
)
# Only our own hook tracks.
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
