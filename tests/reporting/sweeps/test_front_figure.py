import pytest

from lottery_pipeline.reporting.sweeps.front_figure import draw_fronts
from tests.reporting.sweeps.studies import study


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
