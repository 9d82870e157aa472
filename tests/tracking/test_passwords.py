"""Passwords never stand in a message, a page or a tag."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lottery_pipeline.hooks.guards import explain
from lottery_pipeline.hooks.requests import RunFailedError, RunRefusedError
from lottery_pipeline.tracking.connection import first_line
from lottery_pipeline.tracking.passwords import Passwords, hide_in_output, show_traceback, take_login
from lottery_pipeline.tracking.store import TrackingSettings, find_page
from lottery_pipeline.tracking.tracker import Tracker
from tests.tracking.runs import find_runs, start

STORE = "postgresql://me:Secr3t!@db/mlflow"


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "")
    yield
    hide_in_output(Passwords())


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:Secr3t!@server:5000",
        "https://me:Secr3t%21@server/mlflow",
        "https://Secr3t!@server",
        "postgresql://me:Secr3t!@db/mlflow",
        "mysql+pymysql://me:Secr3t%21@db:3306/mlflow?charset=utf8",
        "postgresql://db/mlflow?user=me&password=Secr3t!",
        "https://server/?token=Secr3t!",
        "postgresql://me:Secr3t!/with@slash@db/mlflow",
    ],
)
def test_the_password_of_an_address_is_hidden_in_any_message(uri: str) -> None:
    hide = Passwords(uri).hide
    for text in (uri, f"API request to {uri}/api failed: {uri!r}"):
        assert "Secr3t" not in hide(text)
    assert "server" in hide(uri) or "db" in hide(uri)


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"])
def test_mlflow_s_variables_are_hidden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "Secr3t and/more")
    hide = Passwords().hide
    assert hide("Bearer Secr3t and/more") == "Bearer ***"
    assert hide("x=Secr3t%20and%2Fmore&Secr3t+and%2Fmore") == "x=***&***"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy"])
def test_the_password_of_a_proxy_is_hidden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://me:Secr3t!@proxy:3128")
    assert Passwords().hide("proxy http://me:Secr3t!@proxy:3128 said Secr3t!") == (
        "proxy http://***@proxy:3128 said ***"
    )


def test_text_without_a_password_stays() -> None:
    text = "OSError: no file /data/a@b.txt, see https://docs.example.org/#a and http://server:5000/x"
    assert Passwords("http://server:5000").hide(text) == text


def test_the_login_of_a_server_goes_to_mlflow_by_its_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:Secr3t%21@server:1/mlflow")
    uri = TrackingSettings().resolve_uri(tmp_path)
    assert take_login(uri) == "https://server:1/mlflow"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "Secr3t!"
    assert find_page(uri, "7") == "https://server:1/mlflow/#/experiments/7/runs"


def test_a_run_with_a_server_that_is_not_there_shows_no_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker()
    with caplog.at_level(logging.DEBUG):
        start(tracker, "http://me:Secr3t!@127.0.0.1:9", tmp_path)
        tracker.finish("FINISHED")
    assert "the run continues without it" in caplog.text
    assert "Secr3t" not in caplog.text


def test_the_error_that_ended_a_run_is_kept_without_the_password(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "Secr3t!")
    tracker = Tracker()
    start(tracker, mlflow_uri, tmp_path)
    tracker._runs[""].log_parameters({"a": "http://me:pw@host Secr3t!"})
    tracker.finish("FAILED", error=ValueError("Secr3t! at http://me:pw@host"))
    data = find_runs(mlflow_uri)["run"].data
    assert data.tags["error"] == "ValueError: *** at http://***@host"
    assert data.params["a"] == "http://***@host ***"


@pytest.mark.parametrize("name", ["kedro.framework.session", "sqlalchemy.engine", "my_package"])
def test_no_package_logs_a_password(name: str, caplog: pytest.LogCaptureFixture) -> None:
    hide_in_output(Passwords(STORE))
    logger = logging.getLogger(name)
    logger.propagate = True
    logger.addHandler(caplog.handler)  # as one that a user has configured
    try:
        raise ValueError(STORE)
    except ValueError:
        logger.exception("cannot open %s", STORE)
    finally:
        logger.removeHandler(caplog.handler)
    assert "cannot open postgresql://***@db/mlflow" in caplog.text
    assert "ValueError: postgresql://***@db/mlflow" in caplog.text
    assert "Secr3t" not in caplog.text


def test_the_traceback_with_which_a_process_ends_shows_no_password() -> None:
    program = f"import lottery_pipeline.settings\nraise ValueError('Secr3t! of ' + {STORE!r})"
    env = {**os.environ, "MLFLOW_TRACKING_URI": STORE, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "ValueError: *** of postgresql://***@db/mlflow"
    assert "Secr3t" not in ended.stderr


def test_a_traceback_without_a_password_is_shown_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr("lottery_pipeline.tracking.passwords._show_traceback", lambda *it: shown.append(it))
    error = ValueError("no secret")
    show_traceback(ValueError, error, None)
    assert shown == [(ValueError, error, None)]


def test_artifacts_of_json_have_no_password(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "Secr3t!")
    tracker = Tracker()
    start(tracker, mlflow_uri, tmp_path)
    tracker.send("", "log_dict", {"data": {"root": STORE, "sizes": [1, "Secr3t!"]}}, "parameters.json")
    tracker.send("", "set_tag", "left_out.ltr", f"ltr failed: {STORE}")
    tracker.finish("FINISHED")
    run = find_runs(mlflow_uri)["run"]
    written = MlflowClient(mlflow_uri).download_artifacts(run.info.run_id, "parameters.json", str(tmp_path))
    assert json.loads(Path(written).read_text()) == {
        "data": {"root": "postgresql://***@db/mlflow", "sizes": [1, "***"]}
    }
    assert run.data.tags["left_out.ltr"] == "ltr failed: postgresql://***@db/mlflow"


def test_a_message_that_is_cut_does_not_keep_a_part_of_a_password() -> None:
    hide_in_output(Passwords(STORE))
    assert "Secr3" not in first_line(ValueError("x" * 480 + "Secr3t!"))
    assert "Secr3" not in explain(ValueError("x" * 484 + "Secr3t!"))


def test_a_refusal_has_no_password() -> None:
    for kind in (RunRefusedError, RunFailedError):
        assert kind(f"no store {STORE}").format_message() == "no store postgresql://***@db/mlflow"


def test_a_deleted_experiment_is_restored(
    mlflow_uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_uri)
    identity = client.create_experiment("tests")
    client.delete_experiment(identity)
    tracker = Tracker()
    with caplog.at_level(logging.INFO, logger="lottery_pipeline"):
        start(tracker, mlflow_uri, tmp_path)
        tracker.finish("FINISHED")
    assert caplog.messages.count("MLflow: the experiment tests had been deleted, and is restored.") == 1
    assert find_runs(mlflow_uri)["run"].info.experiment_id == identity
