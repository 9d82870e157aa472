import math

import numpy as np
import pytest

from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.cost_figure import draw_cost
from lottery_pipeline.reporting.sweeps.density_figure import draw_density
from lottery_pipeline.reporting.sweeps.front_figure import draw_fronts
from lottery_pipeline.reporting.sweeps.panels import MOST_PANELS, NOTHING, is_band
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from tests.reporting.sweeps.studies import measure, study

DRAW = (draw_density, draw_cost, draw_fronts)


def test_one_seed_has_neither_bands_nor_bars():
    cells, _ = study(seeds=1)
    for draw in DRAW:
        assert not any(trace.fill == "toself" or trace.error_y.array for trace in draw(cells).data)


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
