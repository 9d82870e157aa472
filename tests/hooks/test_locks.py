"""Locks of a run: what is locked, who is refused, and that no end of a run leaves a trap."""

import importlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks import hook_impl

from lottery_pipeline.evaluation.lineage import mark_rows
from lottery_pipeline.hooks.claims import find_claims
from lottery_pipeline.hooks.locks import LockHooks
from lottery_pipeline.hooks.progress import ProgressHooks
from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.parameters import to_plain
from lottery_pipeline.pipeline_registry import register_pipelines
from lottery_pipeline.reproducibility import lock_files
from lottery_pipeline.reproducibility.locks import HeldError, Locks, Wanted
from tests.kedro_project import ROOT, load_catalog, redirected, run, variables

LONG = "cts.extraction.density=0.5,cts.extraction.length=100000"


def lock_folder(folder: Path) -> Path:
    return folder / "data" / "work" / "test" / "base" / "locks"


def is_held(name: str, folder: Path) -> bool:
    locks = Locks(lock_folder(folder))
    try:
        locks.take([Wanted(name, name)])
    except HeldError:
        return True
    locks.release()
    return False


def start(folder: Path, pipeline: str, params: str, *, tracking: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--env", "test", "--pipelines", pipeline, "--params", params],
        cwd=ROOT,
        env={**os.environ, **variables(folder, tracking=tracking)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def long_run(folder: Path, *, tracking: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A run of cts that has stored images and dense run, and searches for minutes."""
    with start(folder, "cts", LONG, tracking=tracking) as process:
        try:
            for _ in range(600):
                assert process.poll() is None, process.stderr and process.stderr.read()
                if list(folder.glob("data/work/test/base/*.safetensors")):  # of the search
                    break
                time.sleep(0.1)
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder of a run of cts that is under way, and its process."""
    folder = tmp_path_factory.mktemp("first")
    with long_run(folder) as process:
        yield folder, process.pid


def test_a_second_run_of_the_method_is_refused_and_learns_who_is_first(first: tuple[Path, int]) -> None:
    folder, pid = first
    with redirected(folder), pytest.raises(RunRefusedError) as refusal:
        run("cts", cts={"extraction": {"density": 0.1}})
    sentence = refusal.value.message
    assert sentence.startswith("Another run is writing the results of cts in this variant (process ")
    assert f"process {pid} on {os.uname().nodename}, started 20" in sentence
    assert "wait until it has ended" in sentence
    assert "--params variant=NAME" in sentence


def test_another_method_runs_beside_it(first: tuple[Path, int]) -> None:
    with redirected(first[0]):
        run("snip")
    assert (first[0] / "data/07_model_output/test/base/snip/metrics.json").exists()


def test_a_report_is_written_meanwhile(first: tuple[Path, int]) -> None:
    with redirected(first[0]):
        run("reporting")
    assert (first[0] / "data/08_reporting/test/base/report.html").exists()


def test_other_images_are_refused_while_it_works_with_these(first: tuple[Path, int]) -> None:
    with (
        redirected(first[0]),
        pytest.raises(RunRefusedError, match="uses the prepared images, made with"),
    ):
        run("data_preparation", seed=1)


def test_another_variant_is_free(first: tuple[Path, int]) -> None:
    with redirected(first[0]):
        run("data_preparation", seed=1, variant="other")
        assert load_catalog(variant="other").exists("images")


@pytest.mark.parametrize(("number", "tracking"), [(signal.SIGKILL, False), (signal.SIGTERM, True)])
def test_a_run_that_is_killed_frees_its_locks(
    number: signal.Signals, tracking: bool, mlflow_uri: str, tmp_path: Path
) -> None:
    with long_run(tmp_path, tracking=tracking) as process:
        assert is_held("cts", tmp_path)
        process.send_signal(number)
        process.wait()
    locks = Locks(lock_folder(tmp_path))
    locks.take([Wanted("cts", "the results of cts"), Wanted("dense_pretraining", "the dense run")])
    locks.release()


def test_two_runs_of_one_process_follow_each_other(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("data_preparation")
        assert all(path.read_text() == "" for path in lock_folder(tmp_path).iterdir())
        run("data_preparation", seed=1)


def test_a_refusal_by_another_hook_leaves_no_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise RunRefusedError("not today")

    with redirected(tmp_path):
        with monkeypatch.context() as patch:
            patch.setattr(ProgressHooks, "before_pipeline_run", hook_impl(refuse))
            with pytest.raises(RunRefusedError, match="not today"):
                run("data_preparation")
        assert is_held("data_preparation", tmp_path)
        run("data_preparation", seed=1)


def test_ctrl_c_leaves_no_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with redirected(tmp_path):
        with monkeypatch.context() as patch:
            patch.setattr("lottery_pipeline.images.preparation.prepare_images", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run("data_preparation")
        run("data_preparation", seed=1)


def test_a_run_that_fails_releases_its_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("lottery_pipeline.images.preparation.prepare_images", fail)
    with redirected(tmp_path), pytest.raises(KeyError):
        run("data_preparation")
    assert not is_held("data_preparation", tmp_path)


def test_a_faulty_request_is_refused_before_locks_are_asked_for(tmp_path: Path) -> None:
    with redirected(tmp_path), pytest.raises(RunRefusedError, match="dense_run"):
        run("sparse_retraining")
    assert not lock_folder(tmp_path).exists()


def test_a_run_waits_for_the_report_of_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Locks(lock_folder(tmp_path))
    with redirected(tmp_path):
        run("dense_pretraining")
        other.take([Wanted("reporting", "the report")])
        monkeypatch.setattr("lottery_pipeline.hooks.locks.time.sleep", lambda _: other.release())
        with caplog.at_level(logging.INFO):
            run("reporting")
    assert caplog.text.count("Waiting for the report") == 1


def test_a_run_that_joined_others_replaces_nothing_of_theirs(tmp_path: Path) -> None:
    with redirected(tmp_path):
        catalog = load_catalog()
        parameters = to_plain(catalog.load("parameters"))
        claims = find_claims(register_pipelines()["data_preparation"], parameters)
        other = Locks(lock_folder(tmp_path))
        other.take(claims)
        other.share("data_preparation")
        with pytest.raises(RunRefusedError, match="would replace it"):
            run("data_preparation")
    assert not list(tmp_path.glob("data/03_primary/**/*.safetensors"))
    other.release()


def test_where_files_cannot_be_locked_a_run_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock_files, "fcntl", None)
    with redirected(tmp_path):
        run("data_preparation")
        run("data_preparation")
    assert caplog.text.count("Files cannot be locked here") == 1


def test_a_report_takes_whole_records_while_another_run_makes_their_parts_again(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("snip")
        history = load_catalog().get("snip.history")
        history.save(mark_rows(history.load(), "b" * 64))  # of a ticket that is not yet in the record
        run("reporting")
    assert "snip" in (tmp_path / "data/08_reporting/test/base/leaderboard.csv").read_text()


def test_with_workers_everything_is_locked_at_once_and_to_the_end(tmp_path: Path) -> None:
    hooks, runner = LockHooks(), "<kedro.runner.parallel_runner.ParallelRunner object at 0x1>"
    with redirected(tmp_path):
        catalog, pipeline = load_catalog(), register_pipelines()["__default__"]
        hooks.before_pipeline_run({"runner": runner}, pipeline, catalog)
        for output in pipeline.all_outputs():
            hooks.after_dataset_saved(output)
    assert all(is_held(name, tmp_path) for name in ("reporting", "ltr", "data_preparation"))
    with pytest.raises(HeldError):
        Locks(lock_folder(tmp_path)).take(find_claims(pipeline, {}))
    hooks.after_pipeline_run()
    assert not is_held("ltr", tmp_path)


EDITED = """from torch import nn
def make(num_classes, channels, image_size):
    pixels = channels * image_size[0] * image_size[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.{}(), nn.Linear(8, num_classes))
"""


@pytest.mark.slow
def test_a_model_that_is_edited_while_a_run_works_with_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    model = {"name": "edited_meanwhile:make"}
    with redirected(tmp_path):
        (tmp_path / "edited_meanwhile.py").write_text(EDITED.format("Sigmoid"))
        run("dense_pretraining", model=model)
        parameters = to_plain(load_catalog(model=model).load("parameters"))
        first = Locks(lock_folder(tmp_path))
        first.take(find_claims(register_pipelines()["dense_pretraining"], parameters))
        for name in ("data_preparation", "dense_pretraining"):
            first.share(name)
        before = (tmp_path / "data/06_models/test/base/dense_run.safetensors").read_bytes()
        (tmp_path / "edited_meanwhile.py").write_text(EDITED.format("ReLU"))
        monkeypatch.delitem(sys.modules, "edited_meanwhile")
        importlib.invalidate_caches()
        with pytest.raises(RunRefusedError, match=r"use the dense run in .*, and this run would replace it"):
            run("snip", model=model)
        first.release()
    assert (tmp_path / "data/06_models/test/base/dense_run.safetensors").read_bytes() == before
    assert not (tmp_path / "data/06_models/test/base/snip").exists()
