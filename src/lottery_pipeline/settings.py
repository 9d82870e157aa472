"""Project settings that Kedro reads; see https://docs.kedro.org/en/stable/configure/configuration_basics/."""

import os
import re
from glob import escape
from typing import Any

import click
from fsspec.implementations.local import LocalFileSystem
from kedro.config import OmegaConfigLoader

from lottery_pipeline.datasets.catalog import ProjectCatalog
from lottery_pipeline.hooks.checkpoints import CheckpointHooks
from lottery_pipeline.hooks.credentials import CredentialHooks
from lottery_pipeline.hooks.locks import LockHooks
from lottery_pipeline.hooks.memory import MemoryHooks
from lottery_pipeline.hooks.progress import ProgressHooks
from lottery_pipeline.hooks.requests import RequestHooks
from lottery_pipeline.tracking.hook import TrackingHooks
from lottery_pipeline.tracking.passwords import Passwords, hide_in_output


class ExperimentConfigLoader(OmegaConfigLoader):
    """Kedro's loader with one more global: ``experiment``, the name of the environment, or ``base``.

    If each ``globals.yml`` had to name it, a new experiment that forgot it would overwrite the results of
    another.
    """

    def __init__(self, conf_source: str, env: str | None = None, *args: Any, **kwargs: Any) -> None:
        check_experiment(env)
        check_local("The project folder", str(conf_source))
        super().__init__(conf_source, env, *args, **kwargs)
        self["globals"] = {**self._globals, "experiment": self.env or self.base_env}
        check_local("LOTTERY_DATA_ROOT", str(self._globals.get("data_root", "")))
        check_local("LOTTERY_OWNER_KEY", os.environ.get("LOTTERY_OWNER_KEY", ""))

    @staticmethod
    def _initialise_filesystem_and_protocol(conf_source: str) -> tuple[Any, str]:
        files, protocol = OmegaConfigLoader._initialise_filesystem_and_protocol(conf_source)
        return (ConfigFiles(str(conf_source)), protocol) if protocol == "file" else (files, protocol)


class ConfigFiles(LocalFileSystem):
    """The files below a folder whose own path is never a pattern: Kedro globs ``<project>/conf/base/...``."""

    cachable = False

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def glob(self, path: str, **options: Any) -> Any:
        """Find files; only what comes behind the folder is a pattern."""
        folder = self._folder if path.startswith(self._folder) else ""
        return super().glob(escape(folder) + path[len(folder) :], **options)


def check_experiment(name: str | None) -> None:
    """Refuse an experiment whose name is a path: it would read configuration from elsewhere.

    Raises:
        ClickException: one sentence; the command line prints it without a traceback.
    """
    if name and not re.fullmatch(r"[^\W_][\w.=-]{0,99}", name):
        raise click.ClickException(
            f"--env is {name!r}, which is not the name of an experiment; "
            "allowed are letters, digits and . _ = -, with a letter or digit first."
        )


def check_local(variable: str, path: str) -> None:
    """Refuse an address where a path is wanted, and braces, which Kedro fills in its catalog.

    Args:
        variable: what has the path.
        path: of files of this machine.

    Raises:
        ClickException: one sentence; the command line prints it without a traceback.
    """
    if re.match(r"[A-Za-z][\w+.-]+:/", path):
        shown = re.sub(r"//[^/]*@", "//***@", path)
        raise click.ClickException(
            f"{variable} is {shown!r}, an address; files are kept on this machine, so it must be a path, "
            "such as /data/lottery."
        )
    if "{" in path or "}" in path:
        raise click.ClickException(
            f"{variable} is {path!r}, but Kedro puts names where a path has braces; "
            "choose one without { and }."
        )


def read_environment(name: str, default: str) -> str:
    """Return an environment variable, for ``${oc.env:NAME,default}``; an empty one counts as absent."""
    return os.environ.get(name) or default


# Neither Kedro (see also .telemetry) nor MLflow reports anything to anybody.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Kedro reads this file before it does anything, in workers too.
hide_in_output(Passwords())

# Among hooks marked first or last, Kedro puts a later one further out. So a run is refused for its own faults
# before it asks for locks, and it releases its locks before RequestHooks turns an error into a sentence.
HOOKS = (
    LockHooks(),
    RequestHooks(),
    CredentialHooks(),
    ProgressHooks(),
    MemoryHooks(),
    CheckpointHooks(),
    TrackingHooks(),
)
# Only our own hook tracks.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro-telemetry")

DATA_CATALOG_CLASS = ProjectCatalog
CONFIG_LOADER_CLASS = ExperimentConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An experiment changes keys of a group and keeps the others, and so does --params.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"], "sweep": ["sweep*"]},
    "custom_resolvers": {"oc.env": read_environment},
}
