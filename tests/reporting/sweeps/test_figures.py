"""The figures of a sweep: what is drawn, and where."""

import math

import numpy as np
import pytest

from lottery_pipeline.reporting.sweeps import series as lines
from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.cost_figure import draw_cost
from lottery_pipeline.reporting.sweeps.density_figure import draw_density
from lottery_pipeline.reporting.sweeps.front_figure import draw_fronts
from lottery_pipeline.reporting.sweeps.panels import MOST_PANELS, NOTHING, is_band
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from lottery_pipeline.reporting.sweeps.series import list_series
from tests.reporting.sweeps.studies import measure, study

DRAW = (draw_density, draw_cost, draw_fronts)


def find(figure, name):
    """The traces of a name, bands apart."""
    own = [trace for trace in figure.data if trace.name == name]
    return [trace for trace in own if trace.fill == "toself"], [
        trace for trace in own if trace.fill != "toself"
    ]


def test_a_line_has_a_band_of_its_intervals():
    cells, _ = study(seeds=3, ladder=False)
    (band,), (line,) = find(draw_density(cells), "CTS")
    own = cells[cells["method"] == "cts"].sort_values("density", ascending=False)
    assert line.x == pytest.approx([0.2, 0.07, 0.018, 0.0074])
    assert line.y == pytest.approx(own["test_accuracy"], rel=1e-4)
    assert band.y == pytest.approx([*own["test_accuracy_high"], *own["test_accuracy_low"][::-1]], rel=1e-4)
    assert band.x == pytest.approx([*line.x, *line.x[::-1]])
    assert (line.error_y.array, band.hoverinfo) == (None, "skip")


def test_one_density_has_bars_side_by_side():
    cells, _ = measure({"ltr": [0.96, 0.97], "cts": [0.95, 0.96], "snip": [0.9, 0.95]})
    figure = draw_density(cells)
    found = [find(figure, name) for name in ("LTR", "CTS", "SNIP")]
    assert all(not bands for bands, _ in found)
    places = [line.x[0] for _, (line,) in found]
    assert len(set(places)) == 3
    assert max(places) / min(places) < 1.25
    (line,) = found[0][1]
    own = cells[cells["method"] == "ltr"].iloc[0]
    down = own["test_accuracy"] - own["test_accuracy_low"]
    assert line.error_y.arrayminus[0] == pytest.approx(down, rel=1e-4)
    assert line.error_y.array[0] == pytest.approx(1 - own["test_accuracy"], rel=1e-4), "100 % is the end"
    assert "density 1.8%: 180 weights" in line.text[0], "hovering tells the exact place"


def test_one_seed_has_neither_bands_nor_bars():
    cells, _ = study(seeds=1)
    for draw in DRAW:
        assert not any(trace.fill == "toself" or trace.error_y.array for trace in draw(cells).data)


def test_rungs_are_open_and_small_and_cost_nothing():
    cells, _ = study(seeds=2, methods=("ltr",), densities=(0.2, 0.018))
    _, (line,) = find(draw_density(cells), "LTR")
    assert set(zip(line.marker.symbol, line.marker.size, strict=True)) == {("circle", 10), ("circle-open", 7)}
    assert list(line.x) == sorted(line.x, reverse=True)
    _, (line,) = find(draw_cost(cells), "LTR")
    assert len(line.x) == 2, "a rung tells no cost"


def test_the_dashed_line_is_the_mean_of_the_dense_networks():
    cells, _ = measure({"ltr": [0.9, 0.9]}, dense_accuracy=0.97)
    (line,) = [trace for trace in draw_density(cells).data if str(trace.name).startswith("Dense")]
    assert (line.name, line.y[0], line.x[0]) == ("Dense networks, mean 97.0%", 0.97, 1.0)


def test_costs_that_are_equal_stand_side_by_side_and_larger_markers_have_more_weights():
    cells, _ = study(seeds=2, methods=("cts",))
    bands, (line,) = find(draw_cost(cells), "CTS")
    assert not bands
    assert len(set(line.x)) == 4
    assert line.x == pytest.approx([28.0] * 4, rel=0.05)
    assert list(line.marker.size) == sorted(line.marker.size, reverse=True)
    bands, (line,) = find(draw_cost(study(seeds=2, methods=("ltr",))[0]), "LTR")
    assert len(bands) == 1, "LTR costs more where it prunes more"
    assert list(line.x) == sorted(line.x)


def test_a_front_is_drawn_as_steps_through_its_cells():
    cells, _ = study(seeds=2)
    figure = draw_fronts(cells)
    cost, density = [trace for trace in figure.data if trace.name == "Pareto front"]
    own = cells[cells["on_cost_front"]].sort_values("epochs")
    assert cost.x == pytest.approx(own["epochs"], rel=1e-4)
    assert cost.y == pytest.approx(own["test_accuracy"], rel=1e-4)
    assert list(cost.y) == sorted(cost.y)
    assert cost.line.shape == "hv"
    assert len(density.x) == cells["on_density_front"].sum()
    assert [trace.showlegend for trace in (cost, density)] == [True, False]


def test_every_experiment_has_a_panel_and_every_line_one_entry_in_the_legend():
    cells, _ = study(seeds=2, experiments=("base", "cifar10"), densities=(0.2, 0.018))
    for draw in DRAW:
        figure = draw(cells)
        entries = [trace.name for trace in figure.data if trace.showlegend is not False]
        assert sorted(entries) == sorted(set(entries))
        assert {"base", "cifar10"} <= {note.text for note in figure.layout.annotations}
    many, _ = study(seeds=1, methods=("cts",), densities=(0.018,), experiments=[f"e{n}" for n in range(9)])
    figure = draw_density(many)
    assert sum(key.startswith("yaxis") for key in figure.to_plotly_json()["layout"]) == MOST_PANELS
    assert any(trace.name == "3 more experiments, only in the tables" for trace in figure.data)


def test_settings_have_lines_of_their_own_that_look_the_same_everywhere():
    cells, _ = study(
        seeds=2, experiments=("base", "cifar10"), methods=("ltr", "cts"), start=("rewind", "init")
    )
    looks = {(one.name, one.dash, one.look.symbol) for one in list_series(cells)}
    assert looks == {
        ("LTR (start init)", "solid", "circle"),
        ("LTR (start rewind)", "dash", "circle-open"),
        ("CTS (start init)", "solid", "diamond"),
        ("CTS (start rewind)", "dash", "diamond-open"),
    }


def test_too_many_lines_become_markers_of_their_method(monkeypatch):
    monkeypatch.setattr(lines, "MOST_SERIES", 3)
    cells, _ = study(seeds=2, start=("rewind", "init"))
    found = list_series(cells)
    assert [(one.name, one.dash) for one in found] == [(one.look.label, None) for one in found]
    assert len(found) == 4
    _, (line,) = find(draw_density(cells), "CTS")
    assert line.mode == "markers"


@pytest.mark.parametrize("draw", DRAW)
def test_a_figure_without_results_says_so(draw):
    figure = draw(summarise_cells(tabulate_points([])))
    assert [note.text for note in figure.layout.annotations] == [NOTHING]


@pytest.mark.parametrize("draw", DRAW)
def test_numbers_that_are_missing_leave_gaps(draw):
    cells, _ = measure({"ltr": [float("nan")] * 2, "cts": [0.9, 0.95]}, search_epochs=None)
    for trace in draw(cells).data:
        values = [value for value in (*(trace.x or ()), *(trace.y or ())) if value is not None]
        assert all(math.isfinite(value) for value in values)


def test_other_scores_have_their_own_name():
    cells, _ = measure({"ltr": [0.9, 0.8]}, metric="mIoU")
    assert draw_density(cells).layout.yaxis.title.text == "Test mIoU"
    assert "test mIoU 85.00%, 2 seeds" in find(draw_density(cells), "LTR")[1][0].text[0]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([1.0, 2.0, 4.0], True),
        ([4.0, 2.0], True),
        ([1.0, 1.001], False),
        ([1.0, 2.0, 2.0], False),
        ([1.0], False),
    ],
)
def test_a_band_needs_places_that_follow_in_one_direction(places, expected):
    assert is_band(places) == expected
    assert is_band([]) is False
    assert np.all(np.isfinite(places))
