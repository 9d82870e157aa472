"""A sweep in the repository: what is recorded of it, and what the file prints."""

import json
from pathlib import Path

import pytest

from benchmarks.recorded_sweep import gather, render

ACCURACIES = {("cts", 0): 0.42, ("cts", 1): 0.44, ("snip", 0): 0.40, ("snip", 1): 0.41}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The folder of a sweep of two methods and two seeds, and of a point that has not been computed."""
    points = []
    for method, seed in [*ACCURACIES, ("snip", 2)]:
        key = f"{method}-s{seed}"
        point = {
            "key": key,
            "experiment": "test",
            "variant": f"tiny.{key}",
            "pipelines": [method],
            "axes": {"pipelines": method, "density": 0.1, "seed": seed},
            "parameters": {"data.root": "/secret/images", "data.source": "image_folder", "seed": seed},
            "shared": "tiny.shared",
            "fingerprint": "f" * 64,
            "epochs": {"search": 1.0, "train": 2.0},
        }
        points.append(point)
        if seed == 2:
            continue
        row = {"kind": "ticket", "method": method, "seed": seed, "kept": 10, "prunable": 100, "density": 0.1}
        row |= {"rung": None, "metric": "accuracy", "search_epochs": 1.0, "train_epochs": 2.0}
        row |= {"dense_accuracy": 0.5, "test_accuracy": ACCURACIES[method, seed], "latency_ms_1": 3.0}
        left = {"format": 1, "key": key, "fingerprint": "f" * 64, "state": "done", "host": "secret"}
        folder = tmp_path / "test" / f"tiny.{key}"
        folder.mkdir(parents=True)
        (folder / "point.json").write_text(json.dumps(left | {"rows": [row]}))
    plan = {"format": 1, "sweep": "tiny", "experiment": "test", "title": "A question", "points": points}
    folder = tmp_path / "test" / "tiny"
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps(plan))
    return folder


def test_plan_and_rows_are_recorded_and_no_place_of_the_machine(sweep: Path, tmp_path: Path) -> None:
    recorded = gather(sweep)
    assert [row["test_accuracy"] for row in recorded["rows"]] == list(ACCURACIES.values())
    assert recorded["points"][0]["parameters"] == {"data.source": "image_folder", "seed": 0}
    assert recorded["unfinished"] == ["snip-s2"]
    text = json.dumps(recorded)
    assert "secret" not in text
    assert str(tmp_path) not in text
    assert "latency_ms_1" not in text


def test_the_file_prints_cells_and_paired_differences(sweep: Path) -> None:
    lines = render(json.loads(json.dumps(gather(sweep)))).splitlines()
    assert lines[:2] == ["tiny: A question (4 points)", "not finished: 1 more"]
    assert "| 10.000 | CTS |  | 2 | 43.00 | 30.3% to 55.7% | -7.00 −19.7 to +5.7 | 3.0 |" in lines
    assert "| CTS against SNIP | 10.000 |  | 2 | +2.50 | −3.9 to +8.9 | 0.13 | undecided |" in lines
