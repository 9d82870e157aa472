"""Reading back what MLflow was given."""

from pathlib import Path
from typing import Any

from lottery_pipeline.tracking.store import TrackingSettings
from lottery_pipeline.tracking.tracker import Tracker


def start(tracker: Tracker, uri: str, folder: Path, **settings: Any) -> None:
    tracker.start(
        TrackingSettings(tracking_uri=uri, experiment="tests", **settings),
        folder,
        name="run",
        tags={"a": "b"},
        parameters={"seed": "0"},
    )


def find_runs(uri: str) -> dict[str, Any]:
    """Return the runs by name; of several the newest."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.search_runs([item.experiment_id for item in client.search_experiments()])
    return {run.info.run_name: run for run in reversed(found)}


def curve(uri: str, run: str, metric: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    history = MlflowClient(uri).get_metric_history(find_runs(uri)[run].info.run_id, metric)
    return [(point.step, point.value) for point in history]


def list_artifacts(uri: str, run: str, folder: str | None = None) -> set[str]:
    from mlflow import MlflowClient

    found = set()
    for item in MlflowClient(uri).list_artifacts(find_runs(uri)[run].info.run_id, folder):
        found |= list_artifacts(uri, run, item.path) if item.is_dir else {item.path}
    return found
