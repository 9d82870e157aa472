from pathlib import Path

from lottery_pipeline.sweeps.markers import write_marker
from lottery_pipeline.sweeps.outline import count_epochs, outline
from tests.sweeps.conftest import MakePlan
from tests.sweeps.points import make_instant_plan


def test_an_outline_has_costs_and_what_is_done(make_plan: MakePlan) -> None:
    plan = make_plan({"pipelines": ["ltr", "snip"], "extraction.density": 0.25})
    point = plan.points[1]
    write_marker(plan.folder_of("test", point.variant), {"fingerprint": point.fingerprint, "state": "done"})
    lines = [line.split() for line in outline(plan)]
    assert lines[0] == ["point", "state", "search", "train", "epochs"]
    assert [line[1:] for line in lines[1:4]] == [
        ["missing", "0", "3"],
        ["missing", "4", "6"],
        ["done", "0", "3"],
    ]
    assert " ".join(lines[4]) == (
        "s: 2 points and 1 dense runs that they share; 1 of these are done. What is missing costs 13 "
        "epochs-equivalents."
    )


def test_what_nobody_knows_makes_the_sum_a_lower_bound(make_plan: MakePlan) -> None:
    *_, line, total = outline(make_plan({"pipelines": "layer"}))
    assert line.split()[1:] == ["missing", "?", "3"]
    assert "costs at least 6 epochs-equivalents" in total


def test_a_long_plan_is_cut(tmp_path: Path) -> None:
    plan = make_instant_plan(tmp_path, *(f"x{number}" for number in range(100)))
    lines = outline(plan)
    assert len(lines) == 63
    assert lines[-2] == "... and 40 more"
    assert count_epochs(plan.points) == (100.0, 0)
