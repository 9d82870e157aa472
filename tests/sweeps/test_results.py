import json
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.sweeps.results import collect_rows

METRICS = {
    "method": "ltr",
    "seed": 3,
    "prunable": 100,
    "kept": 25,
    "density": 0.25,
    "dense_accuracy": 0.5,
    "test_accuracy": 0.75,
    "metric": "accuracy",
    "search_epochs": 22.0,
    "layers": [1, 2],
    "measured": {"search_seconds": 9.0},
}
LADDER = [
    {
        "rung": 0,
        "kept": 100,
        "prunable": 100,
        "density": 1.0,
        "test_accuracy": 0.5,
        "epochs": 11.0,
        "seconds": 4.0,
    },
    {
        "rung": 1,
        "kept": 50,
        "prunable": 100,
        "density": 0.5,
        "test_accuracy": 0.6,
        "epochs": 11.0,
        "seconds": 5.0,
    },
    {
        "rung": 2,
        "kept": 25,
        "prunable": 100,
        "density": 0.25,
        "test_accuracy": 0.75,
        "epochs": 9.0,
        "seconds": 3.0,
    },
]


def leave(folder: Path, block: str, record: Any) -> None:
    (folder / block).mkdir()
    (folder / block / "record.json").write_text(json.dumps(record))


def test_a_ticket_and_the_rungs_above_it_are_rows(tmp_path: Path) -> None:
    leave(tmp_path, "ltr", {"metrics": METRICS, "ladder_table": LADDER})
    ticket, rung = collect_rows(tmp_path, {}, {"ltr": None})
    assert ticket == {
        **{key: value for key, value in METRICS.items() if key not in ("layers", "measured")},
        "search_seconds": 9.0,
        "kind": "ticket",
        "rung": None,
        "start": "rewind",
    }
    assert (rung["kind"], rung["rung"], rung["kept"], rung["seed"]) == ("rung", 1, 50, 3)
    assert rung["accuracy_delta"] == pytest.approx(0.1)
    # What led to the rung: the dense run alone. Its own training is not part of the search.
    assert (rung["search_epochs"], rung["search_seconds"], rung["train_epochs"]) == (11.0, 4.0, 11.0)


def test_a_start_is_that_of_the_parameters(tmp_path: Path) -> None:
    leave(tmp_path, "snip", {"metrics": {**METRICS, "method": "snip"}})
    (row,) = collect_rows(tmp_path, {"snip": {"extraction": {"start": "initial"}}}, {"snip": None})
    assert row["start"] == "initial"


def test_records_of_other_runs_are_not_results_of_the_point(tmp_path: Path) -> None:
    leave(tmp_path, "snip", {"metrics": METRICS})
    assert collect_rows(tmp_path, {}, {"cts": None}) == []
