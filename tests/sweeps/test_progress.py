import io
from pathlib import Path

from rich.console import Console

from lottery_pipeline.sweeps.markers import DONE, FAILED, RUNNING
from lottery_pipeline.sweeps.progress import Progress, describe_time
from tests.sweeps.points import make_instant_plan

ROWS = [
    {"kind": "ticket", "test_accuracy": 0.9},
    {"kind": "rung", "test_accuracy": 0.99},
    {"kind": "ticket", "test_accuracy": None},
]


def follow(folder: Path, *, terminal: bool) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    return Progress(make_instant_plan(folder, "a", "b", "c", "d"), workers=2, console=console), out


def test_a_line_says_what_was_found_and_how_long_the_rest_takes(tmp_path: Path) -> None:
    progress, out = follow(tmp_path, terminal=False)
    a, b, c, _ = make_instant_plan(tmp_path, "a", "b", "c", "d").points
    progress.note(a, DONE, {"seconds": 40.0, "rows": ROWS}, fresh=False)
    progress.note(b, RUNNING)
    progress.note(b, DONE, {"seconds": 30.0, "rows": ROWS})
    progress.note(c, FAILED, {"seconds": 50.0, "error": "no memory"})
    assert out.getvalue().splitlines() == [
        "[2/4] b: done, 30 s, 90.00 %; about 30 s left",
        "[3/4] c: failed, 50 s, no memory; about 40 s left",
    ]


def test_a_table_on_a_terminal_has_states_and_the_best(tmp_path: Path) -> None:
    progress, out = follow(tmp_path, terminal=True)
    a, b, c, _ = make_instant_plan(tmp_path, "a", "b", "c", "d").points
    with progress:
        progress.note(a, DONE, {"seconds": 40.0, "rows": ROWS})
        progress.note(b, RUNNING)
        progress.note(c, FAILED, {"seconds": None, "error": "no memory"})
    shown = out.getvalue()
    assert "90.00 %" in shown
    assert "no memory" in shown
    assert "1 running, 1 failed, 1 done, 1 waiting" in shown


def test_nothing_is_estimated_before_a_point_has_ended(tmp_path: Path) -> None:
    progress, _ = follow(tmp_path, terminal=False)
    assert progress.estimate_seconds() is None


def test_times_are_said_as_people_say_them() -> None:
    assert [describe_time(seconds) for seconds in (None, 7.4, 99, 150, 9000)] == [
        "",
        "7 s",
        "99 s",
        "2 min",
        "2.5 h",
    ]
