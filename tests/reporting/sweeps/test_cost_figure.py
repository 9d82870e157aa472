import pytest

from lottery_pipeline.reporting.sweeps.cost_figure import draw_cost
from tests.reporting.sweeps.studies import find_traces, study


def test_costs_that_are_equal_stand_side_by_side_and_larger_markers_have_more_weights():
    cells, _ = study(seeds=2, methods=("cts",))
    bands, (line,) = find_traces(draw_cost(cells), "CTS")
    assert not bands
    assert len(set(line.x)) == 4
    assert line.x == pytest.approx([28.0] * 4, rel=0.05)
    assert list(line.marker.size) == sorted(line.marker.size, reverse=True)
    bands, (line,) = find_traces(draw_cost(study(seeds=2, methods=("ltr",))[0]), "LTR")
    assert len(bands) == 1, "LTR costs more where it prunes more"
    assert list(line.x) == sorted(line.x)
