"""Where runs are tracked: URIs, artifact folders, broken stores."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from click import ClickException

from lottery_pipeline.tracking import store as tracking_store
from lottery_pipeline.tracking.store import (
    TrackingSettings,
    artifact_folder,
    check_store,
    find_page,
    list_tags,
    open_experiment,
    prepare_store,
    sqlite_path,
)


def list_tables(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as store:
        return store.execute("SELECT name FROM sqlite_master").fetchall()


def test_a_relative_store_lies_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert TrackingSettings().resolve_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_store_lies_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("a b", "50%", "a%20b", "#1", "what?", "a+b", "ü", "'", '"', "$x", "[z]", "*", "&;"):
        uri = TrackingSettings().resolve_uri(tmp_path / name)
        assert sqlite_path(uri) == tmp_path / name / "mlflow.db"
        assert artifact_folder(uri, tmp_path) == tmp_path / name / "mlartifacts"


def test_the_variable_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert TrackingSettings().resolve_uri(tmp_path) == "http://server:5000"


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("sqlite:////data/mlflow.db", Path("/data/mlartifacts")),
        ("http://server:5000", None),
        ("databricks", None),
        ("postgresql://server/mlflow", Path("/project/mlartifacts")),
    ],
)
def test_artifacts_lie_beside_the_store_and_a_server_decides_for_itself(
    uri: str, folder: Path | None
) -> None:
    assert artifact_folder(uri, Path("/project")) == folder


def test_a_key_of_an_earlier_version_is_refused_in_one_sentence() -> None:
    with pytest.raises(ClickException) as refusal:
        TrackingSettings.read({"metrics": ["*metrics"]})
    assert refusal.value.message == (
        "Parameter mlflow.metrics is unknown: "
        "allowed are enabled, experiment, models, system_metrics, tracking_uri; did you mean system_metrics?"
    )


def test_the_switch_may_come_from_a_variable() -> None:
    assert TrackingSettings.model_validate({"enabled": "false"}).enabled is False


def test_a_store_that_is_no_data_base_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no data base" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        check_store(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_store_is_made_with_its_folder(tmp_path: Path) -> None:
    prepare_store(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}")
    assert ("runs",) in list_tables(tmp_path / "new" / "mlflow.db")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mlflow.db"]


def test_no_connection_to_a_store_stays_open(tmp_path: Path) -> None:
    client, experiment = open_experiment(f"sqlite:///{tmp_path / 'mlflow.db'}", "tests", tmp_path)
    client.create_run(experiment)
    assert [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))] == []


def test_a_store_whose_making_is_interrupted_is_not_left_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(uri: str, _: Path) -> None:
        Path(uri.removeprefix("sqlite:///")).write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tracking_store, "make_store", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_another_run_has_just_made_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"

    def be_second(uri: str, _: Path) -> None:
        for place in (path, Path(uri.removeprefix("sqlite:///"))):
            store = sqlite3.connect(place)
            store.execute("CREATE TABLE first (a)" if place == path else "CREATE TABLE second (a)")
            store.commit()
            store.close()

    monkeypatch.setattr(tracking_store, "make_store", be_second)
    prepare_store(f"sqlite:///{path}")
    assert list_tables(path) == [("first",)]


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("sqlite:////data/mlflow.db", "http://127.0.0.1:5000/#/experiments/7/runs"),
        ("https://server/mlflow/", "https://server/mlflow/#/experiments/7/runs"),
    ],
)
def test_the_page_is_that_of_the_server_or_of_make_mlflow(uri: str, page: str) -> None:
    assert find_page(uri, "7") == page


def test_the_commit_is_that_of_the_project_wherever_the_command_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [__file__])  # in the repository of these tests
    assert "mlflow.source.git.commit" not in list_tags(tmp_path, {})
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    own = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    clean = list_tags(tmp_path, {"mlflow.source.name": "kedro run"})
    (tmp_path / "new").touch()
    assert clean["mlflow.source.git.commit"] == own
    assert (clean["git.dirty"], list_tags(tmp_path, {})["git.dirty"]) == ("false", "true")
    assert (clean["mlflow.source.name"], clean["mlflow.source.type"]) == ("kedro run", "LOCAL")
    assert clean["mlflow.user"]
