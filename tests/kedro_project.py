"""Running the project in tests: in this process (fast) or as a command (as a user does)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner

from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.sweeps.point import variables_set

ROOT = Path(__file__).parents[1]


@contextmanager
def redirected(folder: Path, *, tracking: bool = False) -> Iterator[None]:
    """Let runs of this process keep their data and their MLflow store under ``folder``."""
    with variables_set(variables(folder, tracking=tracking)):
        yield


def variables(folder: Path, *, tracking: bool = False) -> dict[str, str]:
    """Environment variables that keep a run's files under ``folder``."""
    return {
        "LOTTERY_DATA_ROOT": str(folder / "data"),
        "LOTTERY_TRACKING": str(tracking).lower(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "LOTTERY_OWNER_KEY": str(folder / "owner_key.json"),
        "OMP_NUM_THREADS": "1",
    }


def run(*pipelines: str, env: str = "test", **params: Any) -> Any:
    """Run pipelines in this process; parameters are nested dicts. Returns the session."""
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=env, runtime_params=params) as session:
        session.run(pipeline_names=list(pipelines) or None, runner=SequentialRunner())
    return session


def refuse(folder: Path, *pipelines: str, **params: Any) -> str:
    """Run pipelines that are refused before their first node; return what is said."""
    with redirected(folder, tracking=True), pytest.raises(RunRefusedError) as caught:
        run(*pipelines, **params)
    assert not list(folder.glob("data/**/*.*")), "a node has run"
    assert not (folder / "mlflow.db").exists(), "a run was tracked"
    return str(caught.value)


def load_catalog(env: str = "test", **params: Any) -> Any:
    """Return the catalog of an experiment."""
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=env, runtime_params=params) as session:
        return session.load_context().catalog


def command(
    folder: Path, *arguments: str, module: str = "kedro", tracking: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m <module>`` with these arguments in the project, its files under ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables(folder, tracking=tracking)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
