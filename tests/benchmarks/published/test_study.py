"""The study in its smallest setting: the ladder is that of the package, and a kill changes no row."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.published.budget import Budget, TimedCheckpoints
from benchmarks.published.images import draw_digits
from benchmarks.published.plan import Row, order_rows
from benchmarks.published.report import gather, render
from benchmarks.published.settings import SETTINGS
from benchmarks.published.store import StoreError, claim, find_rows, find_ticket, restore, row_path
from benchmarks.published.work import Study, work_through
from lottery_pipeline.methods import METHODS
from lottery_pipeline.options import ImpOptions
from tests.kedro_project import ROOT

RECIPE = SETTINGS["smallest"].recipe.replace(epochs=2, milestones=(1,), batch_size=20)
TINY = replace(SETTINGS["smallest"], recipe=RECIPE, rungs=(2,), headline=2, seeds=(0,))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    budget = Budget(float("inf"), began=0.0)
    study = Study(TINY, draw_digits(40), folder, "cpu", TimedCheckpoints(folder / "checkpoints", budget))
    rows = [row for row in order_rows(TINY) if row.method in ("dense", "cts_kl", "cts_kl_shuffled", "ltr")]
    assert work_through(rows, study.has_row, study.measure, budget)
    return study


def rows_by_name(folder: Path) -> dict[str, dict[str, Any]]:
    rows = {f"{row['method']}_{row['rung']:02d}_seed{row['seed']}": row for row in find_rows(folder)}
    return {name: {key: row[key] for key in row if key != "measured"} for name, row in rows.items()}


def test_the_ladder_of_every_rung_is_that_of_the_package(study: Study) -> None:
    found = METHODS["ltr"](study._begin(0), ImpOptions(rounds=2, rate=0.2))
    assert found.ladder is not None
    for rung in (1, 2):
        ticket, costs = find_ticket(study.folder, Row("ltr", 0, rung)) or pytest.fail("no ticket")
        for name, mask in found.ladder.ticket(rung).masks.items():
            assert torch.equal(mask, ticket.masks[name]), (rung, name)
        assert costs["epochs"] == rung, "one epoch behind theta_1 in each round, the dense one included"
    rows = rows_by_name(study.folder)
    assert rows["ltr_01_seed0"]["test_accuracy"] == found.ladder.rows[1]["test_accuracy"]
    assert rows["ltr_02_seed0"]["rungs_trained"] == [1, 2]


def test_a_row_says_what_it_cost_and_how_many_images_there_were(study: Study) -> None:
    row = rows_by_name(study.folder)["cts_kl_02_seed0"]
    assert (row["train_images"], row["test_images"]) == (40, 359)
    assert (row["rewind_epochs"], row["train_epochs"]) == (1, 1.0)
    assert row["search_epochs"] == pytest.approx(4 / 3)
    assert row["kept"] == int(0.64 * row["prunable"])
    clock = json.loads(row_path(study.folder, Row("cts_kl", 0, 2)).read_text())["measured"]
    assert clock["rewind_seconds"] > 0
    assert clock["search_seconds"] > 0
    assert clock["processor"]


def test_a_shuffled_control_keeps_the_counts_of_its_ticket(study: Study) -> None:
    found = [find_ticket(study.folder, Row(name, 0, 2)) for name in ("cts_kl", "cts_kl_shuffled")]
    (ticket, costs), (shuffled, same) = (one or pytest.fail("no ticket") for one in found)
    assert costs == same
    counts = [{name: int(mask.sum()) for name, mask in one.masks.items()} for one in (ticket, shuffled)]
    assert counts[0] == counts[1]
    assert not all(torch.equal(mask, shuffled.masks[name]) for name, mask in ticket.masks.items())


def test_the_report_sets_costs_and_accuracies_beside_each_other(study: Study) -> None:
    result = gather("smallest", TINY, study.folder, {})
    (ratio,) = result["cost_ratios"]
    assert ratio["epochs"] == pytest.approx((1 + 2 + 1) / (1 + 4 / 3 + 1))
    assert "ltr costs 1.20 times the epochs" in render(result)
    assert {(row["method"], row["rung"]) for row in result["summary"]} >= {("dense", 0), ("cts_kl", 2)}


def test_recorded_rows_are_not_measured_again_even_where_their_tickets_are_lost(
    study: Study, tmp_path: Path
) -> None:
    recorded = tmp_path / "recorded.json"
    recorded.write_text(json.dumps({"name": "x", "rows": find_rows(study.folder)}))
    restore(tmp_path, recorded, {"name": "y"})
    assert not find_rows(tmp_path)
    restore(tmp_path, recorded, {"name": "x"})
    again = replace(study, folder=tmp_path)
    last = Row("ltr", 0, 2)
    assert again.has_row(last)
    before = rows_by_name(tmp_path)
    row_path(tmp_path, last).unlink()
    again.measure(last)
    assert rows_by_name(tmp_path) == before


def test_a_folder_of_another_study_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, {"name": "smallest", "recipe": {"epochs": 4}})
    claim(tmp_path, {"name": "smallest", "recipe": {"epochs": 4}})
    with pytest.raises(StoreError, match=r"another study \(recipe\)"):
        claim(tmp_path, {"name": "smallest", "recipe": {"epochs": 5}})


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.published", "--smallest", "--device", "cpu", *arguments]
    return subprocess.Popen([*command, "--out", str(folder)], cwd=ROOT, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the rows of the smallest setting, made in one go."""
    folder = tmp_path_factory.mktemp("whole")
    whole = start(folder)
    whole.communicate()
    assert whole.returncode == 0
    rows = rows_by_name(folder)
    assert len(rows) == 50
    return rows


@pytest.mark.slow
def test_killed_and_resumed_the_smallest_setting_ends_with_the_same_rows(
    expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    draw = random.Random(0)
    kills = 0
    for wanted in (3, 17, 40):
        process = start(tmp_path / "killed")
        while process.poll() is None and len(rows_by_name(tmp_path / "killed")) < wanted:
            time.sleep(0.1)
        time.sleep(draw.random())
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert kills == 3
    last = start(tmp_path / "killed", "--budget", "1000")
    last.communicate()
    assert last.returncode == 0
    assert rows_by_name(tmp_path / "killed") == expected


@pytest.mark.slow
def test_two_rows_at_once_end_with_the_rows_of_one_after_the_other(
    expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    process = start(tmp_path, "--jobs", "2")
    process.communicate()
    assert process.returncode == 0
    assert rows_by_name(tmp_path) == expected
    assert {row["measured"]["at_once"] for row in find_rows(tmp_path)} == {2}


@pytest.mark.slow
def test_a_budget_of_seconds_is_kept_from_the_start_of_the_process(tmp_path: Path) -> None:
    began = time.monotonic()
    process = start(tmp_path, "--budget", "25")
    _, said = process.communicate()
    assert process.returncode == 0
    assert time.monotonic() - began < 27
    assert b"next call" in said
