"""Where runs are tracked: the settings in ``mlflow.yml``, and the state of the store."""

import logging
import os
import re
import socket
import sqlite3
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import quote

import click
from pydantic import ValidationError

from lottery_pipeline.options.faults import describe_faults
from lottery_pipeline.options.lists import Group
from lottery_pipeline.tracking.passwords import hide, strip_login

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"
LOCAL = "http://127.0.0.1:5000"  # of `make mlflow`


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for another store."""
    if not re.match(r"sqlite(\+\w+)?:///", uri):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    return None if name is None or name == ":memory:" else Path(name)


def sqlite_uri(path: Path) -> str:
    """Return the URI of an SQLite store in a folder of any name."""
    written = f"{SQLITE}{path}"
    if sqlite_path(written) == path:
        return written
    # The driver is named, because MLflow would make the folder of the quoted name too.
    return f"sqlite+pysqlite:///{quote(str(path))}"


class TrackingSettings(Group):
    """``mlflow.yml``.

    Attributes:
        enabled: if false, MLflow is not imported, which saves seconds (``benchmarks/speed/tracking.py``).
        experiment: name of the MLflow experiment.
        tracking_uri: store or server; ``MLFLOW_TRACKING_URI`` takes precedence. A relative SQLite path starts
            at the project folder, whatever folder the command runs in.
        models: whether trained tickets become models in MLflow.
        system_metrics: whether the load of the machine is drawn; needs psutil.
    """

    enabled: bool = True
    experiment: str = "lottery_pipeline"
    tracking_uri: str = "sqlite:///mlflow.db"
    models: bool = True
    system_metrics: bool = False

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Self:
        """Check the settings.

        Raises:
            ClickException: one sentence for each fault; the command line prints it without a traceback.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise click.ClickException(hide("\n".join(describe_faults("mlflow", cls, error)))) from error

    def resolve_uri(self, project: Path) -> str:
        """Return the tracking URI of this process, absolute where it is an SQLite file."""
        uri = os.environ.get("MLFLOW_TRACKING_URI") or self.tracking_uri
        path = sqlite_path(uri)
        return uri if path is None else sqlite_uri((project / path).resolve())


def open_experiment(uri: str, name: str, project: Path) -> tuple[Any, str]:
    """Return MLflow's client and the identity of an experiment, which is made if there is none."""
    prepare_store(uri)
    check_store(uri)
    from mlflow import MlflowClient

    client, folder = MlflowClient(tracking_uri=uri), artifact_folder(uri, project)
    location = None if folder is None else folder.as_uri()
    found = client.get_experiment_by_name(name) or _create_experiment(client, name, location)
    identity = found.experiment_id
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(identity)
        logger.info("MLflow: the experiment %s had been deleted, and is restored.", name)
    close_runs_of_dead_processes(client, identity)
    return client, identity


def _create_experiment(client: Any, name: str, location: str | None) -> Any:
    """Create an experiment, or return that of a process which does so at the same time."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_experiment(name, location)
    except MlflowException:
        if (found := client.get_experiment_by_name(name)) is None:
            raise
        return found
    return client.get_experiment_by_name(name)


def artifact_folder(uri: str, project: Path) -> Path | None:
    """Return the folder for artifacts: beside an SQLite store; a server decides for itself."""
    if path := sqlite_path(uri):
        return path.parent / "mlartifacts"
    return None if uri.startswith(("http", "databricks")) else project / "mlartifacts"


def find_page(uri: str, experiment: str) -> str:
    """Return the address of the runs; without ``/runs`` MLflow shows its pages for language models."""
    server = strip_login(uri).rstrip("/") if uri.startswith("http") else LOCAL
    return f"{server}/#/experiments/{experiment}/runs"


def prepare_store(uri: str) -> None:
    """Do what takes seconds and waits for nobody: import MLflow, and make an SQLite store that is not there.

    A store whose creation was interrupted stays broken, so it is made beside its place and moved there when
    it is complete.
    """
    # By default MLflow waits four minutes for a dead server, in every call. Here the connection tries again.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if sqlite_path(uri):
        # Otherwise each thread keeps a connection, and nobody ever closes it.
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
        # MLflow tells of every engine; its level is read at its import, which may have been before.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    import_module("mlflow.tracking.client")
    path = sqlite_path(uri)
    if path is None:
        return
    import_module("mlflow.store.tracking.sqlalchemy_store")
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder:
        make_store(sqlite_uri(Path(folder) / "made"), path.parent / "mlartifacts")
        with suppress(FileExistsError):  # another run was first
            os.link(Path(folder) / "made", path)


def check_store(uri: str) -> None:
    """Make sure that an SQLite store is sound and can be written: MLflow itself would try for a minute."""
    if path := sqlite_path(uri):
        store = sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=1, uri=True)
        try:
            store.execute("BEGIN IMMEDIATE")
            store.rollback()
        finally:
            store.close()


def answers(uri: str, client: Any) -> None:
    """Raise an error if MLflow does not answer at all."""
    check_store(uri)
    if client is None:
        raise ConnectionError("MLflow has not answered yet")
    if sqlite_path(uri) is None:
        client.search_experiments(max_results=1)


def make_store(uri: str, artifacts: Path) -> None:
    """Make an MLflow store: the tables, without any run."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # MLflow writes the folder of its default experiment into an SQL statement, apostrophes and all.
    SqlAlchemyStore(uri, artifacts.as_uri())


def close_runs_of_dead_processes(client: Any, experiment: str) -> None:
    """Mark runs as KILLED if their process on this machine is gone: after kill -9 nothing else does it."""
    if os.name == "nt":  # there, signal 0 is a real signal, not a check
        return
    query = f"attributes.status = 'RUNNING' and tags.`process.host` = '{socket.gethostname()}'"
    runs = client.search_runs([experiment], filter_string=query)
    for run in sorted(runs, key=lambda run: "mlflow.parentRunId" not in run.data.tags):  # the parent last
        try:
            os.kill(int(run.data.tags["process.pid"]), 0)
        except ProcessLookupError:
            client.set_terminated(run.info.run_id, status="KILLED")
        except PermissionError:
            continue  # alive, but another user's


def reopen_run(client: Any, identity: str, tags: Mapping[str, str]) -> bool:
    """Open a run again, and say by its tags that it is this process's; return False if MLflow has lost it.

    MLflow's own tags stay: they say which command began the run.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.set_terminated(identity, status="RUNNING")
    except MlflowException:
        return False
    for name, value in tags.items():
        if not name.startswith("mlflow."):
            client.set_tag(identity, name, value)
    return True


def list_tags(project: Path, tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags with those that MLflow gives every run, and those of the project's commit."""
    from mlflow.tracking.context.git_context import GitRunContext
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.utils.git_utils import get_git_commit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a "$" in the path
        commit = get_git_commit(str(project))  # MLflow looks where the command lies
    if commit is not None:
        from git import Repo  # MLflow's way to git

        repository = Repo(project, search_parent_directories=True, expand_vars=False)
        dirty = repository.is_dirty(untracked_files=True)
        tags = {**tags, "mlflow.source.git.commit": commit, "git.dirty": str(dirty).lower()}
    ignored: Any = [GitRunContext]  # MLflow's annotation is not what it takes
    return dict(resolve_tags(tags, ignore=ignored))
