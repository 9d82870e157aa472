import json

import pytest

from lottery_pipeline.reporting.figures import draw_accuracy_against_cost
from lottery_pipeline.reporting.palette import LOOKS
from tests.reporting.records import make_dense_metrics, make_metrics, make_superticket


def draw(**changes):
    metrics = {"lth": make_metrics("lth"), "ltr": make_metrics("ltr", **changes), "cts": None}
    return draw_accuracy_against_cost(make_dense_metrics(), metrics)


def traces(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_a_marker_stands_at_search_and_training_and_the_bar_begins_at_training():
    bar, marker, bar_in_time, marker_in_time = traces(draw(), "LTR")
    assert (list(bar.x), list(marker.x)) == ([28.5, 148.5], [148.5])
    assert (list(bar_in_time.x), list(marker_in_time.x)) == ([14.1, 89.3], [89.3])
    assert list(bar.y) == [0.975, 0.975]
    assert list(marker.y) == [0.975]
    assert (bar.marker.symbol, list(bar.marker.size)) == ("line-ns", [9, 0])
    assert (marker.marker.symbol, marker.marker.color) == (LOOKS["ltr"].symbol, LOOKS["ltr"].colour)
    assert bar.line.color == LOOKS["ltr"].colour


def test_epochs_and_time_have_a_panel_each_on_logarithmic_axes():
    figure = draw()
    assert [trace.xaxis for trace in traces(figure, "LTR")] == ["x", "x", "x2", "x2"]
    assert (figure.layout.xaxis.type, figure.layout.xaxis2.type) == ("log", "log")
    assert figure.layout.xaxis.ticktext == ("20", "50", "100", "200")
    assert figure.layout.xaxis2.ticktext == ("10 s", "20 s", "30 s", "1 min", "2 min")
    for axis, least, most in ((figure.layout.xaxis, 28.5, 148.5), (figure.layout.xaxis2, 14.1, 89.3)):
        assert 10 ** axis.range[0] < least < most < 10 ** axis.range[1]


def test_every_run_is_in_the_legend_once():
    figure = draw()
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert shown == ["Dense network, 98.1%", "LTH", "LTR"]
    assert {trace.legendgroup for trace in traces(figure, "LTR")} == {"ltr"}


def test_the_dense_network_stands_at_its_own_cost():
    epochs, seconds = traces(draw(), "Dense network, 98.1%")
    assert (list(epochs.x), list(seconds.x), list(epochs.y)) == ([30.0], [15.0], [0.981])


def test_the_hover_tells_search_from_training():
    marker = traces(draw(), "LTR")[1]
    assert "density 10%: 6,700 of D = 67,000 weights" in marker.text[0]
    assert "search 120 epochs, 1.3" in marker.text[0]
    assert "training 28.5 epochs, 14" in marker.text[0]


def test_a_search_that_costs_nothing_leaves_a_bar_of_no_length():
    bar, marker, *_ = traces(draw(search_epochs=0.0), "LTR")
    assert (list(bar.x), list(marker.x)) == ([28.5, 28.5], [28.5])


@pytest.mark.parametrize(
    ("changes", "bar", "marker"),
    [
        ({"train_epochs": 0.0}, [None, 120.0], [120.0]),
        ({"train_epochs": 0.0, "search_epochs": 0.0}, [None, None], [None]),
    ],
)
def test_a_logarithmic_axis_never_shows_0(changes, bar, marker):
    figure = draw(**changes)
    drawn = traces(figure, "LTR")
    assert (list(drawn[0].x), list(drawn[1].x)) == (bar, marker)
    assert all(value is None or value > 0 for trace in figure.data for value in trace.x)


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [(0.02, ("0.02 s",)), (70.0, ("1 min",)), (8_000.0, ("2 h",)), (100_000.0, ("1 d",))],
)
def test_time_is_written_as_people_count_it(seconds, labels):
    metrics = {"ltr": make_metrics("ltr", train_seconds=seconds, search_seconds=0.0)}
    assert draw_accuracy_against_cost(None, metrics).layout.xaxis2.ticktext == labels


def test_costs_far_apart_do_not_crowd_the_axis():
    figure = draw(search_seconds=500_000.0, train_seconds=0.01)
    assert 4 < len(figure.layout.xaxis2.ticktext) <= 9


def test_the_figure_is_small_plain_json():
    text = draw().to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert json.loads(text)["layout"]["title"]["text"] == "Test accuracy against cost"


def test_a_figure_of_nothing_is_still_a_figure():
    assert len(draw_accuracy_against_cost(None, {"ltr": None}).data) == 0


def test_the_dense_network_is_left_out_where_every_run_has_another_one():
    own = make_superticket()
    figure = draw_accuracy_against_cost(make_dense_metrics(), {"supertickets": own})
    assert {trace.name for trace in figure.data} == {"SuperTickets"}
    assert traces(draw_accuracy_against_cost(make_dense_metrics(), {}), "Dense network, 98.1%")
    assert "6,700 of D = 20,000 weights (supernet)" in figure.data[1].text[0]


def test_no_ticket_hides_another_and_its_bar_ends_where_it_stands():
    same = {"test_accuracy": 0.95, "search_epochs": 0.0}
    metrics = {name: make_metrics(name, **same) for name in ("snip", "grasp")}
    figure = draw_accuracy_against_cost(None, metrics)
    (bar, first, *_), (moved_bar, second, *_) = traces(figure, "SNIP"), traces(figure, "GraSP")
    assert (list(bar.x), list(first.x)) == ([28.5, 28.5], [28.5])
    assert second.x[0] > 28.5
    assert list(moved_bar.x) == [28.5, second.x[0]]
    assert first.error_y.array[0] > 0
