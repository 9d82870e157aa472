import json

import pytest

from lottery_pipeline.reporting.blocks import describe_block
from lottery_pipeline.reporting.figures import draw_architecture
from tests.reporting.records import make_blocks


def draw(blocks=None):
    return draw_architecture(make_blocks() if blocks is None else blocks)


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def boxes_of(trace):
    """The rectangles of a trace: left, right, bottom, top."""
    corners = [
        (trace.x[place : place + 4], trace.y[place : place + 4]) for place in range(0, len(trace.x), 6)
    ]
    return [(x[0], x[1], y[0], y[2]) for x, y in corners]


def test_a_full_bar_is_as_high_as_its_box():
    figure = draw()
    outline = boxes_of(named(figure, "box: all of the supernet"))[0]
    bars = boxes_of(named(figure, "3×3"))
    first, *_ = bars
    height = outline[3] - outline[2]
    assert first[3] - first[2] == pytest.approx(height / 4, abs=1e-3), "1 of 4 hidden channels"
    assert first[2] == outline[2]
    assert max(top - bottom for *_, bottom, top in bars) == pytest.approx(height, abs=1e-3)


def test_kernels_and_tokens_share_the_width_of_a_box():
    figure = draw()
    left, right, *_ = boxes_of(named(figure, "box: all of the supernet"))[0]
    kernel = boxes_of(named(figure, "3×3"))[0]
    tokens = boxes_of(named(figure, "tokens"))[0]
    assert kernel[0] == left
    assert tokens[1] == pytest.approx(right, abs=1e-3)
    assert kernel[1] - kernel[0] == pytest.approx((right - left) / 3, abs=1e-3)


def test_a_group_that_is_gone_has_no_bar():
    assert len(boxes_of(named(draw(), "3×3"))) == 4  # of five boxes, one has vanished
    assert len(boxes_of(named(draw(), "5×5"))) == 3


def test_a_block_that_is_gone_is_a_dotted_line_without_a_box():
    blocks = make_blocks()
    figure = draw(blocks)
    skips = named(figure, "gone: only the skip path")
    assert skips.line.dash == "dot"
    assert set(skips.y) == {-2, None}
    assert len(boxes_of(named(figure, "box: all of the supernet"))) == 4
    alive = [row for row in blocks if row["kernels"] != ""]
    assert "gone: only the skip path" not in [trace.name for trace in draw(alive).data]


def test_a_path_is_thicker_with_more_channels():
    paths = [trace for trace in draw().data if trace.line.color == "#7A5FC7"]
    assert [trace.line.width for trace in paths] == [1.5, 4.5, 6.0]
    assert [trace.name for trace in paths if trace.showlegend] == ["path: thicker with more channels"]


def test_every_block_can_be_asked():
    blocks = make_blocks()
    texts = [text for trace in draw().data for text in (*(trace.text or ()), *(trace.hovertext or ()))]
    for row in blocks:
        assert describe_block(row) in texts


def test_no_marker_lies_on_another():
    figure = draw()
    marked = [trace for trace in figure.data if "markers" in trace.mode]
    places = [place for trace in marked for place in zip(trace.x, trace.y, strict=True)]
    assert len(places) == len(set(places))


def test_branches_say_their_resolution():
    figure = draw()
    assert figure.layout.yaxis.ticktext == ("branch 1<br>8×8", "branch 2<br>4×4")
    assert figure.layout.xaxis.ticktext == ("s1", "s2", "head")


def test_the_figure_is_small_plain_json_and_names_are_escaped():
    blocks = make_blocks()
    blocks[1]["size"] = "<img src=x>"
    text = draw(blocks).to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert "<img" not in text.replace("\\u003c", "<")
    assert json.loads(text)["layout"]["title"]["text"] == "The architecture found"
