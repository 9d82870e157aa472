import pytest

from lottery_pipeline.reporting.sweeps.cost_figure import draw_cost
from lottery_pipeline.reporting.sweeps.density_figure import draw_density
from tests.reporting.sweeps.studies import find_traces, measure, study


def test_a_line_has_a_band_of_its_intervals():
    cells, _ = study(seeds=3, ladder=False)
    (band,), (line,) = find_traces(draw_density(cells), "CTS")
    own = cells[cells["method"] == "cts"].sort_values("density", ascending=False)
    assert line.x == pytest.approx([0.2, 0.07, 0.018, 0.0074])
    assert line.y == pytest.approx(own["test_accuracy"], rel=1e-4)
    assert band.y == pytest.approx([*own["test_accuracy_high"], *own["test_accuracy_low"][::-1]], rel=1e-4)
    assert band.x == pytest.approx([*line.x, *line.x[::-1]])
    assert (line.error_y.array, band.hoverinfo) == (None, "skip")


def test_one_density_has_bars_side_by_side():
    cells, _ = measure({"ltr": [0.96, 0.97], "cts": [0.95, 0.96], "snip": [0.9, 0.95]})
    figure = draw_density(cells)
    found = [find_traces(figure, name) for name in ("LTR", "CTS", "SNIP")]
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


def test_rungs_are_open_and_small():
    cells, _ = study(seeds=2, methods=("ltr",), densities=(0.2, 0.018))
    _, (line,) = find_traces(draw_density(cells), "LTR")
    assert set(zip(line.marker.symbol, line.marker.size, strict=True)) == {("circle", 10), ("circle-open", 7)}
    assert list(line.x) == sorted(line.x, reverse=True)
    _, (line,) = find_traces(draw_cost(cells), "LTR")
    assert len(line.x) == 2, "a rung tells no cost"


def test_the_dashed_line_is_the_mean_of_the_dense_networks():
    cells, _ = measure({"ltr": [0.9, 0.9]}, dense_accuracy=0.97)
    (line,) = [trace for trace in draw_density(cells).data if str(trace.name).startswith("Dense")]
    assert (line.name, line.y[0], line.x[0]) == ("Dense networks, mean 97.0%", 0.97, 1.0)


def test_other_scores_have_their_own_name():
    cells, _ = measure({"ltr": [0.9, 0.8]}, metric="mIoU")
    assert draw_density(cells).layout.yaxis.title.text == "Test mIoU"
    assert "test mIoU 85.00%, 2 seeds" in find_traces(draw_density(cells), "LTR")[1][0].text[0]
