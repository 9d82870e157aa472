"""The dataset of a sweep: states of points, and files that are not what they should be."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError

from lottery_pipeline.datasets import sweep_points
from lottery_pipeline.datasets.sweep_points import SweepPointsDataset
from tests.sweep_files import make_point, make_row, write_sweep


def load(folder: Path) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = SweepPointsDataset(
        filepath=str(folder / "base/methods/sweep.json")
    ).load()["points"]
    return points


def test_every_state_of_a_point_is_told_apart(tmp_path: Path) -> None:
    points = [make_point(key) for key in ("done", "failed", "running", "missing", "stale")]
    files: list[dict[str, Any] | None] = [
        {"state": "done", "rows": [make_row()], "seconds": 3.5},
        {"state": "failed", "error": "The loss is not finite.", "attempts": 2},
        {"state": "running", "rows": [make_row()]},
        None,
        {"state": "done", "fingerprint": "f" * 64, "rows": [make_row()]},
    ]
    write_sweep(tmp_path, points, files)
    found = load(tmp_path)
    assert [point["state"] for point in found] == ["done", "failed", "running", "missing", "stale"]
    assert [len(point["rows"]) for point in found] == [1, 0, 0, 0, 0], "only what is finished counts"
    assert (found[0]["seconds"], found[1]["error"], found[1]["attempts"]) == (
        3.5,
        "The loss is not finite.",
        2,
    )


def test_a_point_of_another_experiment_is_read_from_there(tmp_path: Path) -> None:
    write_sweep(tmp_path, [make_point("a", experiment="cifar10")], [{"state": "done", "rows": [make_row()]}])
    assert (tmp_path / "cifar10/methods.a/point.json").is_file()
    assert load(tmp_path)[0]["state"] == "done"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a valid point"),
        ("[]", "a group of keys"),
        ('{"format": 2, "key": "a", "fingerprint": "a", "state": "done"}', "format"),
        ("[" * 100_000, "not a valid point"),
        (json.dumps(make_point("a") | {"format": 1, "state": "ended"}), "state"),
        (
            json.dumps(make_point("a") | {"format": 1, "state": "done", "rows": [{"kind": "ticket"}]}),
            "method",
        ),
        (
            json.dumps(make_point("a") | {"format": 1, "state": "done", "rows": [make_row(layers=[1, 2])]}),
            "more than plain values",
        ),
        (
            json.dumps(make_point("a") | {"format": 1, "state": "done", "rows": [make_row(kept="many")]}),
            "kept",
        ),
    ],
)
def test_a_damaged_point_is_named_and_counts_as_absent(
    content: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_sweep(tmp_path, [make_point("a"), make_point("b")], [None, {"state": "done", "rows": [make_row()]}])
    path = tmp_path / "base/methods.a/point.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        first, second = load(tmp_path)
    assert (first["state"], first["rows"], second["state"]) == ("damaged", [], "done")
    assert "Point a is left out" in caplog.text
    assert said in caplog.text
    assert str(path) in caplog.text


def test_a_pipe_or_a_file_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_points, "POINT_BYTES", 2**20)
    write_sweep(
        tmp_path, [make_point("a"), make_point("b")], [{"state": "running", "host": "x" * 2**21}, None]
    )
    (tmp_path / "base/methods.b").mkdir(parents=True)
    os.mkfifo(tmp_path / "base/methods.b/point.json")
    first, second = load(tmp_path)
    assert "larger than 1 MiB" in first["error"]
    assert "not a regular file" in second["error"]


def test_many_damaged_points_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    points = [make_point(f"p{number}") for number in range(25)]
    write_sweep(tmp_path, points, [{"state": "ended"}] * 25)
    with caplog.at_level(logging.WARNING):
        load(tmp_path)
    assert [record.getMessage() for record in caplog.records][-1] == (
        "5 more points are left out for such reasons."
    )
    assert len(caplog.records) == 21


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experiment": "../base"}, "experiment"),
        ({"variant": "../../etc"}, "variant"),
        ({"variant": "a/b"}, "variant"),
        ({"axes": {"seed": [0]}}, "axes"),
    ],
)
def test_a_plan_that_leads_elsewhere_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    write_sweep(tmp_path, [make_point("a")], [None])
    path = tmp_path / "base/methods/sweep.json"
    plan = json.loads(path.read_text())
    plan["points"][0] |= change
    path.write_text(json.dumps(plan))
    with pytest.raises(DatasetError, match=rf"sweep\.json is not a valid plan of a sweep: .*{said}"):
        load(tmp_path)


def test_a_plan_that_names_a_point_twice_or_is_damaged_is_refused(tmp_path: Path) -> None:
    write_sweep(tmp_path, [make_point("a"), make_point("a")], [None, None])
    with pytest.raises(DatasetError, match="two of its points have the same key"):
        load(tmp_path)
    (tmp_path / "base/methods/sweep.json").write_text("{")
    with pytest.raises(DatasetError, match="not a valid plan"):
        load(tmp_path)


def test_a_number_that_is_not_finite_is_read(tmp_path: Path) -> None:
    write_sweep(
        tmp_path, [make_point("a")], [{"state": "done", "rows": [make_row(test_accuracy=float("nan"))]}]
    )
    (row,) = load(tmp_path)[0]["rows"]
    assert row["test_accuracy"] != row["test_accuracy"]


def test_kedro_viz_is_shown_the_states(tmp_path: Path) -> None:
    dataset = SweepPointsDataset(filepath=str(tmp_path / "base/methods/sweep.json"))
    assert dataset.preview()["data"] == []
    write_sweep(tmp_path, [make_point(key) for key in "abc"], [None, {"state": "running"}, None])
    assert dataset.preview()["data"] == [["missing", 2], ["running", 1]]
    with pytest.raises(DatasetError, match="saved by the sweep"):
        dataset.save({})
