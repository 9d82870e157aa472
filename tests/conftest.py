"""Fixtures for tests of several folders."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from lottery_pipeline.tracking.store import prepare_store

settings.register_profile("without_times", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("without_times")


@pytest.fixture(scope="session", autouse=True)
def no_server_of_the_user() -> None:
    """Keep the tests away from the MLflow server that the environment may name."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def empty_mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow data base with its tables and no experiment: making one takes seconds, a copy does not."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def mlflow_uri(empty_mlflow_store: Path, tmp_path: Path) -> str:
    """The URI of a fresh MLflow store under ``tmp_path``."""
    shutil.copy(empty_mlflow_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
