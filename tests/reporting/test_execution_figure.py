"""Tests of the figures of execution cost."""

import pytest

from lottery_pipeline.reporting.figures import draw_accuracy_against_execution, draw_layer_macs
from tests.reporting.records import make_dense_metrics, make_metrics, make_superticket

METHODS = ("snip", "grasp", "cts")
LATENCY = {
    "rows": [
        {
            "model": model,
            "batch_size": 8,
            "median_seconds": seconds,
            "speedup": 2.0,
            "speedup_low": 1.9,
            "speedup_high": 2.1,
        }
        for model, seconds in (("dense", 0.02), ("ticket", 0.01))
    ]
}
LAYERS = [
    {"layer": "network.conv1.weight", "macs_dense": 100, "macs": 100, "density": 0.5, "macs_theoretical": 50},
    {
        "layer": "network.layer1.1.conv1.weight",
        "macs_dense": 300,
        "macs": 0,
        "density": 0.0,
        "macs_theoretical": 0,
    },
]


def make(**changes):
    found = {"macs_executed": 100, "macs_dense": 400, "latency": LATENCY}
    return make_metrics("layer", **{**found, "layer_costs": LAYERS, **changes})


def draw(**changes):
    return draw_accuracy_against_execution(make_dense_metrics(), {"layer": make(**changes), "cts": None})


def test_a_ticket_stands_at_what_it_executes_takes_and_was_trained_for():
    macs, latency, seconds = [trace for trace in draw().data if trace.name == "Layer"]
    record = make()
    assert (list(macs.x), list(latency.x)) == ([100], [0.5])
    assert list(seconds.x) == [record["measured"]["train_seconds"]]
    assert "2.00 times as fast as dense at batch 8 (1.90 to 2.10)" in macs.text[0]


def test_the_dense_network_stands_beside_it():
    dense = [trace for trace in draw().data if trace.name.startswith("Dense")]
    assert [list(trace.x) for trace in dense] == [[400], [1], [make_dense_metrics()["measured"]["seconds"]]]


def test_without_latency_its_panel_is_empty():
    figure = draw(latency=None)
    assert [list(trace.x) for trace in figure.data if trace.name == "Layer"][1] == [None]


def test_every_layer_has_a_cell_of_each_ticket_and_the_last_row_is_the_whole_network():
    (cells,) = draw_layer_macs({"layer": make(), "cts": None}).data
    assert list(cells.x) == ["Layer"]
    assert [name.partition(" ")[0] for name in cells.y] == ["conv1", "layer1.1.conv1", "<b>all"]
    assert [list(row) for row in cells.z] == [[0.5], [0.0], [0.125]]
    assert [row[0] for row in cells.text] == ["50%", "0%", "12%"]
    assert "50 of 100 MACs" in cells.hovertext[0][0]


def test_without_methods_there_is_nothing_to_draw():
    assert not draw_layer_macs({"cts": None}).data
    assert not draw_accuracy_against_execution(None, {}).data


def test_the_dense_parent_of_another_network_has_a_circle_around_that_of_the_dense_run():
    metrics = {"supertickets": make_superticket(latency=LATENCY), "layer": make()}
    figure = draw_accuracy_against_execution(make_dense_metrics(), metrics)
    own = [trace for trace in figure.data if trace.name == "Dense supernet of SuperTickets, 99.0%"]
    dense = [trace for trace in figure.data if trace.name == "Dense network, 98.1%"]
    assert [list(trace.x) for trace in own] == [[400_000], [1], [None]]
    assert list(dense[0].x) == [400], "of the run whose network it is"
    assert own[1].marker.size > dense[1].marker.size


def test_layers_of_another_network_are_not_mixed_in():
    other = [{**row, "layer": "network.stem.weight", "macs_dense": 7} for row in LAYERS[:1]]
    figure = draw_layer_macs({"supertickets": make_superticket(layer_costs=other), "layer": make()})
    cells, note = figure.data
    assert list(cells.x) == ["Layer"]
    assert note.name == "SuperTickets: another network, not shown"
    assert [name.partition(" ")[0] for name in cells.y] == ["conv1", "layer1.1.conv1", "<b>all"]


def test_no_marker_hides_another():
    tickets = {name: make_metrics(name, macs_executed=1_000_000, test_accuracy=0.9) for name in METHODS[:3]}
    figure = draw_accuracy_against_execution(make_dense_metrics(), tickets)
    first, second, third, _ = [trace for trace in figure.data if trace.xaxis == "x"]
    assert list(first.x) == [1_000_000]
    assert (list(second.x), list(third.x)) == ([1_074_000], [925_960]), "to the right, then to the left"


def test_a_ticket_has_the_interval_of_its_accuracy():
    ticket = draw().data[0]
    assert ticket.error_y.array[0] == pytest.approx(0.018, abs=0.001)
    assert ticket.error_y.arrayminus[0] == pytest.approx(0.0272, abs=0.001)
    without = draw(classes=None).data[0]
    assert without.error_y.array is None
