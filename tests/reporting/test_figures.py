import json

import pytest

from lottery_pipeline.reporting.figures import (
    draw_accuracy_against_density,
    draw_layer_densities,
    draw_training_curves,
)
from lottery_pipeline.reporting.layout import density_axis
from lottery_pipeline.reporting.palette import LOOKS, WARNING_COLOUR
from tests.reporting.records import (
    D,
    make_controls,
    make_dense_metrics,
    make_history,
    make_ladder,
    make_metrics,
    make_superticket,
)


def draw_all():
    metrics = {"lth": make_metrics("lth"), "ltr": make_metrics("ltr"), "cts": None}
    ladders = {"lth": make_ladder("lth"), "ltr": make_ladder("ltr"), "cts": None}
    controls = {"lth": make_controls("lth"), "ltr": make_controls("ltr"), "cts": None}
    histories = {"lth": make_history(), "ltr": make_history(first_epoch=2), "cts": None}
    return {
        "accuracy": draw_accuracy_against_density(make_dense_metrics(), metrics, ladders, controls),
        "curves": draw_training_curves(make_history(), histories),
        "layers": draw_layer_densities(metrics),
    }


def trace(figure, name, **properties):
    found = [item for item in figure.data if item.name == name]
    return next(item for item in found if all(item[key] == value for key, value in properties.items()))


@pytest.mark.parametrize("name", ["accuracy", "curves", "layers"])
def test_a_figure_is_small_plain_json(name):
    text = draw_all()[name].to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert "NaN" not in text
    assert json.loads(text)["layout"]["title"]["text"]


@pytest.mark.parametrize("method", ["lth", "ltr"])
def test_a_method_keeps_its_colour_in_all_figures(method):
    look, figures = LOOKS[method], draw_all()
    for name in ("accuracy", "curves"):
        assert trace(figures[name], look.label).line.color == look.colour


def test_density_falls_to_the_right_on_a_logarithmic_axis():
    axis = draw_all()["accuracy"].layout.xaxis
    assert axis.type == "log"
    assert axis.range[0] > 0 > -1 > axis.range[1]
    assert axis.ticktext[:4] == ("100%", "50%", "20%", "10%")


def test_the_axis_covers_the_least_density_with_a_tick_at_or_below_it():
    axis = density_axis("", [0.0007], decreasing=True)
    assert axis["ticktext"][-2:] == ["0.1%", "0.05%"]
    assert 10 ** axis["range"][1] < 0.0007


def test_the_ladder_is_drawn_from_dense_to_sparse():
    ladder = trace(draw_all()["accuracy"], "LTR", mode="lines+markers")
    assert list(ladder.x) == pytest.approx([1.0, 0.56, 0.32, 0.18, 0.1], rel=0.06)
    assert list(ladder.y) == [0.981, 0.983, 0.98, 0.978, 0.975]
    assert list(ladder.marker.size) == [7, 7, 7, 7, 0], "the ticket has a marker of its own"
    assert "rung 4" in ladder.text[4]
    assert "10%: 6,700 of D = 67,000 weights" in ladder.text[4]


def test_markers_of_equal_density_stand_side_by_side():
    figure = draw_all()["accuracy"]
    at_the_end = {
        (item.name, x) for item in figure.data if "markers" in item.mode for x in item.x if 0.07 < x < 0.14
    }
    places = [x for _, x in at_the_end]
    assert len(at_the_end) == len(set(places)) == 6, "two tickets, two kinds of controls of each"
    assert 0.1 in places
    ticket = trace(figure, "LTR", mode="markers")
    ladder = trace(figure, "LTR", mode="lines+markers")
    assert ticket.x[0] == ladder.x[-1], "the ladder leads to its ticket"


def test_a_ticket_has_the_interval_of_its_accuracy():
    figure = draw_accuracy_against_density(None, {"snip": make_metrics("snip")}, {}, {})
    (bars,) = [item.error_y for item in figure.data]
    assert (bars.array[0], bars.arrayminus[0]) == pytest.approx((0.0181, 0.0276), abs=1e-4)
    assert "95% interval 92.2% to 96.8%, by the choice of test images" in figure.data[0].text[0]


def test_final_points_of_methods_without_a_ladder_are_in_the_legend():
    figure = draw_accuracy_against_density(None, {"snip": make_metrics("snip")}, {}, {})
    assert [item.name for item in figure.data] == ["SNIP"]
    assert figure.data[0].showlegend


def test_each_kind_of_control_has_its_own_open_marker():
    figure = draw_all()["accuracy"]
    random_mask = trace(figure, "LTR: random mask")
    reinitialised = trace(figure, "LTR: new initial weights")
    assert list(random_mask.y) == [0.962, 0.905]
    assert random_mask.marker.symbol != reinitialised.marker.symbol
    assert random_mask.marker.symbol.endswith("-open")


def test_several_seeds_of_a_control_are_points_without_a_line():
    rows = make_controls("ltr")
    rows.append(rows[1] | {"seed": 1, "test_accuracy": 0.9})
    figure = draw_accuracy_against_density(None, {}, {}, {"ltr": rows})
    assert trace(figure, "LTR: random mask").mode == "markers"
    assert trace(figure, "LTR: new initial weights").mode == "lines+markers"


def test_the_dense_line_spans_all_densities():
    line = trace(draw_all()["accuracy"], "Dense network, 98.1%")
    assert line.x[0] == 1.0
    assert line.x[1] < 0.1
    assert list(line.y) == [0.981, 0.981]


def test_validation_curves_are_solid_and_training_curves_dotted():
    figure = draw_all()["curves"]
    curves = [item for item in figure.data if item.name == "LTR"]
    assert [item.line.dash for item in curves] == ["solid", "dot", "solid", "dot"]
    assert [item.showlegend for item in curves] == [True, False, False, False]
    assert list(curves[0].x) == [2, 3, 4]


def test_without_validation_images_the_training_curve_stands_in_the_legend():
    figure = draw_training_curves(make_history(validation=False), {})
    curves = [item for item in figure.data if item.name == "Dense network"]
    assert [(item.line.dash, item.showlegend) for item in curves] == [("dot", True), ("dot", False)]


def test_a_loss_that_is_not_finite_leaves_a_gap():
    history = make_history()
    history[1]["train_loss"] = float("inf")
    figure = draw_training_curves(history, {})
    losses = [item for item in figure.data if item.name == "Dense network" and item.yaxis == "y2"]
    assert losses[1].y[1] is None


def test_a_dead_layer_gets_a_cross():
    record = make_metrics("ltr", dead_layers=["network.conv2.weight"])
    record["layers"][1] |= {"kept": 0, "density": 0.0}
    figure = draw_layer_densities({"ltr": record})
    cross = trace(figure, "Dead layer: no weight is left")
    assert (list(cross.x), list(cross.y)) == (["LTR"], ["conv2"])
    assert cross.marker.color == WARNING_COLOUR


def test_layers_stand_in_the_order_of_the_network_from_the_top_with_a_column_for_each_ticket():
    figure = draw_all()["layers"]
    cells = figure.data[0]
    assert list(cells.x) == ["LTH", "LTR"]
    assert list(cells.y) == ["conv1", "conv2", "fc", "<b>all layers</b>"]
    assert figure.layout.yaxis.autorange == "reversed"
    assert {text for row in cells.text for text in row} == {"10%"}
    assert {shade for row in cells.z for shade in row} == {0.5}, "half way from 1% to 100%"
    assert cells.hovertext[0][0] == "14 of 144 weights (16×1×3×3)"


def test_a_layer_that_was_removed_has_no_cell():
    removed = make_metrics("layer")
    removed["layers"] = removed["layers"][::2]
    cells = draw_layer_densities({"ltr": make_metrics("ltr"), "layer": removed}).data[0]
    assert [row[1] for row in cells.z] == [0.5, None, 0.5, 0.5]


def test_names_of_layers_are_escaped():
    record = make_metrics("ltr")
    record["layers"][0]["layer"] = "network.<img src=x>.weight"
    assert "<img" not in draw_layer_densities({"ltr": record}).to_json().replace("\\u003c", "<")


def test_figures_of_nothing_are_still_figures():
    assert len(draw_accuracy_against_density(None, {}, {}, {}).data) == 0
    assert len(draw_layer_densities({"ltr": None}).data) == 0
    assert [item.name for item in draw_training_curves(None, {}).data] == ["validation", "training"]


def test_runs_of_another_network_have_a_line_at_their_own_dense_parent():
    metrics = {"ltr": make_metrics("ltr"), "supertickets": make_superticket()}
    figure = draw_accuracy_against_density(make_dense_metrics(), metrics, {}, {})
    own = trace(figure, "Dense supernet of SuperTickets, 99.0%")
    assert (list(own.x), list(own.y)) == ([1.0, 0.335], [0.99, 0.99])
    assert (own.line.dash, own.line.color) == ("dot", LOOKS["supertickets"].colour)
    assert list(trace(figure, "Dense network, 98.1%").x) == [1.0, 0.1]


def test_the_dense_line_is_left_out_where_every_run_has_another_network():
    metrics = {"supertickets": make_superticket()}
    figure = draw_accuracy_against_density(make_dense_metrics(), metrics, {}, {})
    assert [item.name for item in figure.data] == ["Dense supernet of SuperTickets, 99.0%", "SuperTickets"]


def test_controls_of_a_smaller_network_stand_at_the_density_of_its_ticket():
    rows = [row | {"prunable": 13_400, "density": 0.5} for row in make_controls() if row["kept"] == D // 10]
    figure = draw_accuracy_against_density(
        None, {"supertickets": make_superticket()}, {}, {"supertickets": rows}
    )
    assert list(trace(figure, "SuperTickets: random mask").x) == pytest.approx([0.335], rel=0.06)


def test_hovering_tells_the_network_and_the_accuracy_as_found():
    figure = draw_accuracy_against_density(None, {"supertickets": make_superticket()}, {}, {})
    text = trace(figure, "SuperTickets").text[0]
    assert "density 33.5%: 6,700 of D = 20,000 weights (supernet)" in text
    assert "test accuracy 71.00% as found, before its retraining" in text


def test_layers_of_another_network_are_not_mixed_in():
    other = make_superticket()
    other["layers"] = [row | {"layer": f"network.stem.{row['layer']}"} for row in other["layers"]]
    figure = draw_layer_densities({"supertickets": other, "ltr": make_metrics("ltr")})
    assert list(figure.data[0].x) == ["LTR"]
    assert list(figure.data[0].y) == ["conv1", "conv2", "fc", "<b>all layers</b>"]
    assert list(trace(figure, "SuperTickets: another network, not shown").x) == [None]
    assert draw_layer_densities({"supertickets": other}).data[0].y[0] == "stem.network.conv1"


def test_the_axes_name_the_metric():
    metrics = {"ltr": make_metrics("ltr", metric="PCK")}
    figure = draw_accuracy_against_density(None, metrics, {}, {})
    assert figure.layout.yaxis.title.text == "Test PCK"
    assert "test PCK 97.50%" in figure.data[0].text[0]
    assert draw_training_curves(make_history(), {}, "PCK").layout.yaxis.title.text == "PCK"
