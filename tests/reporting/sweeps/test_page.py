"""The page of a sweep."""

import re

import pytest

from lottery_pipeline.reporting.sweeps import tables
from lottery_pipeline.reporting.sweeps.columns import TABLES
from tests.reporting.rendering import HOSTILE, Page
from tests.reporting.sweeps.studies import render_study
from tests.sweep_files import make_point, make_row, make_study


def read_tables(text):
    """Headings and rows of every table."""
    found = []
    for table in re.findall(r"<table class=\"(?:sortable|checks)\">(.*?)</table>", text, re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        found.append([len(re.findall(r"<t[hd][ >]", row)) for row in rows])
    return found


@pytest.mark.parametrize("grid", [{}, {"experiments": ("base", "cifar10"), "start": ("rewind", "init")}])
def test_every_row_has_as_many_cells_as_there_are_headings(grid):
    points, files = make_study(seeds=2, densities=(0.2, 0.018), **grid)
    files[0] = {"state": "failed", "error": "The loss is not finite.", "attempts": 2}
    text = render_study(points, files)
    counts = read_tables(text)
    assert len(counts) == len(TABLES) + ("start" in grid)
    assert all(len(set(table)) == 1 and len(table) > 1 for table in counts)
    Page(text)


def test_the_state_of_the_sweep_and_the_reasons_of_what_failed_are_shown():
    points, files = make_study(seeds=2, densities=(0.018,))
    files[0] = {"state": "failed", "error": "The loss is not finite.", "attempts": 2}
    files[1] = {"state": "stale"}
    files[2] = {"state": "running"}
    files[3] = None
    text = " ".join(Page(render_study(points, files)).texts)
    for words in ("4 points done, of 8", "1 failed", "1 running, or interrupted", "1 not started", "1 stale"):
        assert words in text
    assert "1 point has failed and is not in the means" in re.sub(r"\s+", " ", text)
    assert text.count("The loss is not finite.") == 2, "above, and in the table"


def test_the_title_and_the_sentence_come_first():
    text = render_study(*make_study(seeds=2, densities=(0.018,)), title="Which method at 1.8 %?")
    page = Page(text)
    assert "Which method at 1.8 %?" in page.texts
    assert any(text.startswith("With 1.8% of the weights, ") for text in page.texts)
    assert "Sweep report" in page.texts


def test_nothing_from_outside_becomes_part_of_the_page():
    points = [make_point(f"{HOSTILE}{seed}", pipelines="x", start=HOSTILE, seed=seed) for seed in (0, 1, 2)]
    points += [make_point(f"b{seed}", pipelines="x", start="init", seed=seed) for seed in (0, 1, 2)]
    rows = [make_row(method=HOSTILE, metric=HOSTILE, seed=seed) for seed in (0, 1)]
    files = [*({"state": "done", "rows": [row]} for row in rows), {"state": "failed", "error": HOSTILE}]
    files += [
        {"state": "done", "rows": [make_row(method=HOSTILE, metric=HOSTILE, seed=seed)]} for seed in (0, 1, 2)
    ]
    text = render_study(points, files, title=HOSTILE)
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    Page(text)


def test_an_empty_sweep_has_a_page_without_tables_and_figures():
    text = render_study([], [])
    page = Page(text)
    assert "No point of this sweep has a result yet." in page.texts
    assert read_tables(text) == []
    assert "Plotly.newPlot" not in text


def test_long_tables_are_cut_and_say_so(monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    monkeypatch.setattr("lottery_pipeline.reporting.sweeps.page.MOST_ROWS", 3)
    points, files = make_study(seeds=2, ladder=False)
    text = render_study([*points, *(make_point(f"more{n}") for n in range(5))], [*files, *[None] * 5])
    assert "13 more rows are in <code>sweep_cells.csv</code>" in text
    assert "21 more rows are in <code>sweep_differences.csv</code>" in text
    assert "And 2 more." in text


def test_a_comparison_of_different_networks_says_so():
    points = [make_point(f"{method}{seed}", density=0.018, seed=seed) for method in "ab" for seed in (0, 1)]
    sizes = {"ltr": 10_000, "supertickets": 50_000}
    rows = [
        make_row(method=method, seed=seed, prunable=size) for method, size in sizes.items() for seed in (0, 1)
    ]
    page = Page(render_study(points, [{"state": "done", "rows": [row]} for row in rows]))
    assert "networks of different size" in page.texts


def test_equal_sweeps_give_equal_pages():
    study = make_study(seeds=2, densities=(0.018,))
    assert render_study(*study) == render_study(*study)


def test_scores_of_another_kind_have_their_name_everywhere():
    points = [make_point(f"p{seed}", seed=seed) for seed in (0, 1)]
    files = [{"state": "done", "rows": [make_row(seed=seed, metric="mIoU")]} for seed in (0, 1)]
    text = render_study(points, files)
    visible = " ".join(Page(text).texts)
    assert "Test mIoU" in visible
    assert "Test accuracy" not in visible
