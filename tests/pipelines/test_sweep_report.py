"""The report of a sweep: the whole pipeline on files, without a training."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from lottery_pipeline.hooks.requests import RunFailedError
from lottery_pipeline.options.sweep_report import SweepReportOptions
from lottery_pipeline.pipelines.sweep_report.nodes import summarise_cells, tabulate_points
from lottery_pipeline.pipelines.sweep_report.pipeline import create_pipeline
from tests.kedro_project import command, load_catalog, redirected, run
from tests.sweep_files import make_study, make_sweep, write_sweep

FILES = {"report.html", "sweep_results.parquet", "sweep_cells.csv", "sweep_differences.csv"}
FIGURES = ("accuracy_against_density", "accuracy_against_cost", "fronts")


def write(folder: Path, seeds: int = 2) -> None:
    points, files = make_study(seeds=seeds, densities=(0.2, 0.018), methods=("ltr", "cts"))
    files[0] = {"state": "failed", "error": "The loss is not finite."}
    write_sweep(folder / "data/07_model_output", points, files, experiment="test")


def test_a_run_leaves_tables_figures_and_a_page_and_a_second_run_the_same(tmp_path: Path) -> None:
    write(tmp_path)
    folder, tables = tmp_path / "data/08_reporting/test/methods", []
    for _ in range(2):
        with redirected(tmp_path):
            run("sweep_report", variant="methods")
            catalog = load_catalog(variant="methods")
            results, cells, differences = (
                catalog.load(f"sweep_report.{name}") for name in ("rows", "cells", "differences")
            )
        tables.append([(folder / name).read_bytes() for name in sorted(FILES - {"report.html"})])
    assert tables[0] == tables[1]
    assert FILES | {f"sweep_{name}.json" for name in FIGURES} == {
        path.name for path in folder.iterdir() if path.is_file()
    }
    assert len(results[results["kind"] == "ticket"]) == 7
    seeds = cells[cells["kind"] == "ticket"].set_index(["method", "density"])["n"]
    assert seeds.to_dict() == {("ltr", 0.2): 1, ("cts", 0.2): 2, ("ltr", 0.018): 2, ("cts", 0.018): 2}
    assert differences["n"].tolist() == [1, 2]
    assert "The loss is not finite." in (folder / "report.html").read_text(encoding="utf-8")


def test_the_margin_comes_from_the_parameters() -> None:
    points, files = make_study(seeds=3, densities=(0.018,), methods=("ltr",))
    results = tabulate_points(make_sweep(points, files))
    wide, narrow = (summarise_cells(results, SweepReportOptions(margin=margin)) for margin in (0.2, 0.0))
    asked = wide["kind"] == "ticket"
    assert wide["verdict"][asked].tolist() == ["winning"]
    assert narrow["verdict"][asked].tolist() == ["worse"]
    with pytest.raises(ValueError, match="margin"):
        SweepReportOptions(margin=-0.1)


def test_a_damaged_plan_ends_the_run_with_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)
    plan = tmp_path / "data/07_model_output/test/methods/sweep.json"
    plan.write_text("{")
    with redirected(tmp_path), caplog.at_level(logging.ERROR), pytest.raises(RunFailedError) as caught:
        run("sweep_report", variant="methods")
    assert f"SweepError: {plan} is not a valid plan of a sweep" in str(caught.value)


def test_the_pipeline_reads_the_plan_and_leaves_a_page() -> None:
    pipeline = create_pipeline()
    assert pipeline.inputs() == {"sweep_points", "params:sweep_report"}
    assert pipeline.outputs() == {"sweep_report.page"}
    assert {node.namespace for node in pipeline.nodes} == {"sweep_report"}


@pytest.mark.slow
def test_ten_thousand_points_take_seconds(tmp_path: Path) -> None:
    points, files = make_study(densities=[round(0.9 * 0.8**power, 6) for power in range(25)], seeds=100)
    assert len(points) == 10_000
    write_sweep(tmp_path / "data/07_model_output", points, files, experiment="test")
    done = command(
        tmp_path, "run", "--env", "test", "--pipelines", "sweep_report", "--params", "variant=methods"
    )
    assert done.returncode == 0, done.stderr
    cells = pd.read_csv(tmp_path / "data/08_reporting/test/methods/sweep_cells.csv")
    assert cells.loc[cells["kind"] == "ticket", "n"].tolist() == [100] * 100
