"""The rows of the study: names, starts and gaps."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.cts import rows

RESULTS = Path(rows.__file__).parent / "results"
RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("cts_vs_ltr_*.json"))}


def find(setting, **wanted):
    (row,) = (row for row in RECORDED[f"cts_vs_ltr_{setting}"]["rows"] if wanted.items() <= row.items())
    return row["test_accuracy"]


def test_the_recorded_random_rows_bear_the_name_of_their_allocation():
    assert find("torch_init_32", method="random", rung=22, seed=0, start="initial") == 0.3932
    assert find("torch_init_32", method="random_uniform", rung=22, seed=0, start="initial") == 0.1523
    assert find("converged", method="random_uniform", rung=22, seed=0, start="initial") == 0.2104


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_row_says_its_method_and_start_and_stands_there_once(name):
    found = [(row["method"], row["start"], row["rung"], row["seed"]) for row in RECORDED[name]["rows"]]
    assert len(set(found)) == len(found)
    assert {start for _, start, _, _ in found} <= set(rows.STARTS)
    assert not {"random_erk"} & {method for method, *_ in found}


def test_recorded_rows_go_back_to_where_a_run_finds_them(monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "WORK", tmp_path)
    row = {"method": "ltr", "start": "rewind", "rung": 6, "seed": 2, "test_accuracy": 0.5}
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps({"rows": [row], "dense": [{"seed": 2}]}))
    rows.restore("digits", path)
    task = SimpleNamespace(folder=tmp_path / "digits" / "seed2")
    assert json.loads(rows.row_path(task, "ladder", "rewind", 6).read_text()) == row
    assert json.loads((task.folder / "dense.json").read_text()) == {"seed": 2}


def test_layers_and_classes_without_a_weight_are_counted():
    full, empty = torch.ones(4, 2, 3, 3, dtype=torch.bool), torch.zeros(4, 4, 3, 3, dtype=torch.bool)
    classifier = torch.tensor([[True, False], [False, False], [False, False]])
    assert rows.count_gaps({"a": full, "b": empty, "c": classifier}) == {
        "dead_layers": 1,
        "unconnected_classes": 2,
    }
