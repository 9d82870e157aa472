"""The default run reaches its report with networks of others, and says what it does without."""

from pathlib import Path

import pytest

from tests.kedro_project import redirected, run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "unfit"),
    [
        ("torchvision:mobilenet_v3_small", {"grasp", "layer", "filter"}),
        ("tests.user_networks:batch_statistics", {"layer", "filter"}),
    ],
)
def test_the_default_run_reports_what_can_work(model: str, unfit: set[str], tmp_path: Path) -> None:
    with redirected(tmp_path):
        run(
            model={"name": model},
            layer={"extraction": {"removed": 1}},
            pretraining={"epochs": 2, "rewind_epoch": 1},
            left_out="supertickets",
        )
    folder = tmp_path / "data/08_reporting/test/base"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert {
        name for name in ("lth", "cts", "snip", "grasp", "layer", "filter") if f"{name} is left out" in page
    } == unfit
    rows = (folder / "leaderboard.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + len({"lth", "ltr", "cts", "snip", "grasp", "synflow", "layer", "filter"} - unfit)
