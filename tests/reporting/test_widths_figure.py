import json

from lottery_pipeline.reporting.blocks import describe_block
from lottery_pipeline.reporting.figures import draw_block_widths
from tests.reporting.records import make_blocks


def cells(name):
    (heat,) = draw_block_widths(make_blocks()).data
    row = list(heat.y).index(name)
    return dict(zip(heat.x, zip(heat.z[row], heat.text[row], strict=True), strict=True))


def test_a_cell_says_what_is_left_and_its_colour_the_share():
    assert cells("s1.branch1.block1") == {
        "3×3": (0.25, "1"),
        "5×5": (0.0, "0"),
        "tokens": (0.5, "2"),
        "MACs": (0.125, "12%"),
        "weights": (0.1, "10%"),
    }


def test_a_cell_is_empty_where_there_was_nothing_to_remove():
    assert cells("head.widen1")["tokens"] == (None, "")
    assert cells("s2.branch2.block1")["tokens"] == (0.0, "0")


def test_blocks_stand_in_the_order_of_the_network_from_the_top():
    figure = draw_block_widths(make_blocks())
    assert figure.data[0].y[:2] == ("s1.fuse.from1_to1", "s1.branch1.block1")
    assert len(figure.data[0].y) == 9
    assert figure.layout.yaxis.autorange == "reversed"


def test_colours_are_opaque_so_that_numbers_can_be_read_on_any_background():
    scale = draw_block_widths(make_blocks()).data[0].colorscale
    assert [share for share, _ in scale] == [0, 0.5, 1]
    assert all(colour.startswith("#") and len(colour) == 7 for _, colour in scale)


def test_hovering_tells_everything_about_a_block():
    (heat,) = draw_block_widths(make_blocks()).data
    assert heat.hovertext[1][0] == describe_block(make_blocks()[1])


def test_without_attention_there_is_no_column_of_tokens():
    rows = [row | {"supernet_tokens": 0, "tokens": 0} for row in make_blocks()[:-1]]
    assert draw_block_widths(rows).data[0].x == ("3×3", "5×5", "MACs", "weights")


def test_the_figure_is_small_plain_json_and_names_are_escaped():
    blocks = make_blocks()
    blocks[0]["block"] = "<img src=x>"
    text = draw_block_widths(blocks).to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert "<img" not in text.replace("\\u003c", "<")
    assert json.loads(text)["layout"]["title"]["text"] == "Kernels and widths of every block"
