import json

import pytest

from lottery_pipeline.reporting.figures import draw_search_course, draw_search_path
from lottery_pipeline.reporting.joint_search_figure import EVENTS
from lottery_pipeline.reporting.palette import LOOKS
from tests.reporting.records import make_blocks, make_superticket, make_trace
from tests.reporting.test_palette import contrast


def path(trace=None, metrics=None):
    return draw_search_path(make_trace() if trace is None else trace, metrics)


def course(trace=None):
    return draw_search_course(make_trace() if trace is None else trace, make_blocks())


def named(figure, name):
    return [item for item in figure.data if item.name == name]


def test_every_kind_of_event_has_a_marker_of_its_own():
    figure = path()
    (quiet,) = named(figure, "no event")
    (both,) = named(figure, "units removed, weights masked")
    assert (list(quiet.x), list(quiet.y)) == ([400_000], [0.5])
    assert (list(both.x), list(both.y)) == ([90_000], [0.7])
    assert len({(look.symbol, look.colour) for look, _ in EVENTS.values()}) == len(EVENTS)


def test_a_bar_leads_to_the_network_as_it_is():
    (bars,) = named(path(), "up to the network as it is")
    assert list(bars.x) == [200_000, 400_000, None, 90_000, 240_000, None]
    assert list(bars.y) == [0.8, 0.8, None, 0.7, 0.7, None]
    assert bars.marker.symbol == "circle-open"
    assert list(bars.marker.size) == [0, 7, 0] * 2


def test_one_line_joins_the_epochs_with_masked_weights_and_another_one_the_others():
    lines = [item for item in path().data if item.mode == "lines"]
    assert [list(line.x) for line in lines] == [[200_000, 90_000], [400_000, 400_000]]


def test_epochs_at_one_place_are_both_seen():
    trace = make_trace()
    trace[1]["validation_accuracy"] = trace[0]["validation_accuracy"]
    (search,), (quiet,) = named(path(trace), "search, no unit to remove"), named(path(trace), "no event")
    assert (search.x, search.y) == (quiet.x, quiet.y)
    assert search.marker.size > quiet.marker.size
    names = [item.name for item in path(trace).data]
    assert names.index(search.name) < names.index(quiet.name), "the smaller one is on top"
    sizes = [size for _, size in EVENTS.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


def test_the_retrained_ticket_has_the_marker_of_its_method():
    (ticket,) = named(path(metrics=make_superticket()), "the ticket, retrained")
    assert (list(ticket.x), list(ticket.y)) == ([90_000], [0.979])
    assert ticket.marker.symbol == LOOKS["supertickets"].symbol
    assert not named(path(metrics=make_superticket(validation_accuracy=None)), "the ticket, retrained")


def test_hovering_tells_everything_about_an_epoch():
    (both,) = named(path(), "units removed, weights masked")
    assert both.text[0].split("<br>") == [
        "<b>Epoch 4</b>: search, shrink, prune",
        "validation accuracy 70.00%",
        "moving average: validation accuracy 75.00%",
        "training accuracy 92.50%",
        "90.0\u202fk of 240\u202fk MACs if masked weights are skipped",
        "density 33.5%: 6,700 weights",
        "43 hidden channels, 14 tokens",
    ]
    assert "<b>Epoch 1</b>: no event" in named(path(), "no event")[0].text[0]


def test_without_validation_images_the_axis_says_that_the_accuracies_are_of_training():
    trace = [row | {"validation_accuracy": None} for row in make_trace()]
    figure = path(trace, make_superticket())
    assert figure.layout.yaxis.title.text == "Training accuracy"
    assert list(named(figure, "no event")[0].y) == [0.7]
    assert not named(figure, "the ticket, retrained")


def test_the_axes_name_the_metric():
    assert draw_search_path(make_trace(), None, "mIoU").layout.yaxis.title.text == "Validation mIoU"


def test_weights_and_units_have_a_panel_each_over_the_epochs():
    figure = course()
    (channels,), (tokens,) = named(figure, "hidden channels"), named(figure, "tokens")
    assert list(channels.x) == [1, 2, 3, 4]
    assert list(channels.y) == [1, 1, 1, pytest.approx(43 / 72, abs=1e-4)]
    assert list(tokens.y) == [1, 1, 1, 0.7]
    assert tokens.text[3] == "epoch 4: 14 of 20 tokens"
    assert channels.yaxis == tokens.yaxis == "y2"
    assert list(named(figure, "weights masked")[0].y) == [0.5]


def test_without_attention_there_is_no_curve_of_tokens():
    blocks = [row | {"supernet_tokens": 0} for row in make_blocks()]
    assert not named(draw_search_course(make_trace(), blocks), "tokens")


def test_an_event_of_another_version_is_shown_under_its_own_name():
    trace = [row | {"event": "<b>graft</b>"} for row in make_trace()]
    assert len(named(path(trace), "&lt;b&gt;graft&lt;/b&gt;")[0].x) == 4


@pytest.mark.parametrize("colour", sorted({look.colour for look, _ in EVENTS.values()}))
@pytest.mark.parametrize("background", ["#ffffff", "#14171c"])
def test_every_colour_stands_out_on_white_and_on_near_black(colour, background):
    assert contrast(colour, background) > 2.8


@pytest.mark.parametrize("draw", [path, course])
def test_a_figure_is_small_plain_json(draw):
    text = draw().to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert "NaN" not in text
    assert json.loads(text)["layout"]["title"]["text"]
