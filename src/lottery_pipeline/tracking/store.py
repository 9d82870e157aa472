"""Where runs are tracked: the settings in ``mlflow.yml``, and the state of the store."""

import os
import shutil
import socket
import sqlite3
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, ConfigDict

SQLITE = "sqlite:///"


class TrackingSettings(BaseModel):
    """``mlflow.yml``: where runs are tracked, and which catalog entries are mirrored (fnmatch patterns).

    Attributes:
        enabled: if false, MLflow is not imported, which saves some 2.5 seconds.
        experiment: name of the MLflow experiment.
        tracking_uri: store or server; ``MLFLOW_TRACKING_URI`` takes precedence. A relative SQLite path starts
            at the project folder, whatever folder the command runs in.
        metrics: records whose numbers become metrics, named by what stands before ``metrics``.
        histories: rows that become curves.
        figures: plotly figures.
        files: entries whose file is stored with the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    experiment: str = "lottery_pipeline"
    tracking_uri: str = "sqlite:///mlflow.db"
    metrics: tuple[str, ...] = ()
    histories: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def resolve_uri(self, project: Path) -> str:
        """Return the tracking URI of this process, absolute where it is an SQLite file."""
        uri = os.environ.get("MLFLOW_TRACKING_URI") or self.tracking_uri
        if uri.startswith(SQLITE) and uri != f"{SQLITE}:memory:":
            return f"{SQLITE}{(project / uri.removeprefix(SQLITE)).resolve()}"
        return uri


def artifact_folder(uri: str, project: Path) -> Path | None:
    """Return the folder for artifacts: beside an SQLite store; a server decides for itself."""
    if uri.startswith(SQLITE):
        return Path(uri.removeprefix(SQLITE)).parent / "mlartifacts"
    return None if uri.startswith(("http", "databricks")) else project / "mlartifacts"


def check_store(uri: str) -> None:
    """Make sure that an SQLite store exists and is sound.

    MLflow tries a broken store ten times, for more than a minute. A store whose creation was interrupted
    stays broken, so a new store is made beside its place and moved there when it is complete.
    """
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder:
            make_store(f"{SQLITE}{folder}/made")
            # A copy, because MLflow keeps the original open.
            fresh = shutil.copy(Path(folder) / "made", Path(folder) / "fresh")
            with suppress(FileExistsError):  # another run was first
                os.link(fresh, path)
    store = sqlite3.connect(path, timeout=5)
    try:
        store.execute("BEGIN IMMEDIATE")
        store.rollback()
    finally:
        store.close()


def make_store(uri: str) -> None:
    """Make an MLflow store: the tables, without any run."""
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=uri).search_experiments(max_results=1)


def close_runs_of_dead_processes(client: Any, experiment: str) -> None:
    """Mark runs as KILLED if their process on this machine is gone: after kill -9 nothing else does it."""
    if os.name == "nt":  # there, signal 0 is a real signal, not a check
        return
    query = f"attributes.status = 'RUNNING' and tags.`process.host` = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], filter_string=query):
        try:
            os.kill(int(run.data.tags["process.pid"]), 0)
        except ProcessLookupError:
            client.set_terminated(run.info.run_id, status="KILLED")
        except PermissionError:
            continue  # alive, but another user's
