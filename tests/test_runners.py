"""Kedro's other runners: the same results from several processes, and no threads."""

import json
from pathlib import Path

import pytest

from lottery_pipeline.hooks.requests import RequestHooks, RunRefusedError
from lottery_pipeline.reproducibility.measured import MEASURED
from tests.kedro_project import command


def run_by(runner: str, folder: Path) -> dict[str, object]:
    """What a run leaves: bytes of its tickets, and its metrics without what clocks say."""
    done = command(folder, "run", "--env", "test", "--pipelines", "snip,ltr,reporting", "--runner", runner)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = {
        path.parents[2].name + path.name: path.read_bytes()
        for path in folder.glob("data/06_models/test/base/*/*/*/*ticket.safetensors")
    }
    for path in folder.glob("data/07_model_output/test/base/*/metrics.json"):
        found[path.parent.name] = {
            key: value for key, value in json.loads(path.read_text()).items() if key != MEASURED
        }
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_processes_give_the_results_of_one_and_leave_nothing(tmp_path: Path) -> None:
    one, many = (run_by(runner, tmp_path / runner) for runner in ("SequentialRunner", "ParallelRunner"))
    assert len(one) == 6  # ticket, trained ticket and metrics of each method
    assert one == many
    assert (tmp_path / "ParallelRunner/data/08_reporting/test/base/report.html").is_file()
    work = tmp_path / "ParallelRunner/data/work"
    assert not list(work.rglob("*.safetensors"))
    assert not any(path.read_text() for path in work.rglob("*.lock"))


def test_threads_are_refused_before_the_first_node() -> None:
    given = {"runner": "<kedro.runner.thread_runner.ThreadRunner object at 0x1>"}
    with pytest.raises(RunRefusedError, match="--runner ThreadRunner cannot be used: nodes in threads"):
        RequestHooks().before_pipeline_run(given, None, None)  # type: ignore[arg-type]
