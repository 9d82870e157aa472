import pytest

from lottery_pipeline.reporting.blocks import (
    ATTENTION_COLOUR,
    KERNEL_COLOURS,
    colour_kind,
    describe_block,
    is_gone,
    list_groups,
    list_kinds,
    list_searchable,
    share_channels,
    share_macs,
    short_name,
)
from tests.reporting.records import make_blocks
from tests.reporting.test_palette import contrast

BLOCKS = {row["block"]: row for row in make_blocks()}
HALF, GONE = BLOCKS["stages.s1.branch1.block1"], BLOCKS["stages.s2.branch2.block1"]
OTHERS = BLOCKS["stem and classifier"]


def test_a_group_that_is_gone_has_nothing_left_and_one_that_never_was_is_absent():
    assert list_groups(HALF) == {"3×3": (1, 4), "5×5": (0, 4), "tokens": (2, 4)}
    assert list_groups(BLOCKS["head.widen1"]) == {"3×3": (4, 4), "5×5": (4, 4)}
    assert list_groups(OTHERS) == {}


def test_a_block_is_gone_when_neither_channels_nor_tokens_are_left():
    assert is_gone(GONE)
    assert not is_gone(GONE | {"tokens": 1})
    assert not is_gone(HALF)


def test_shares_are_those_of_the_supernet():
    assert share_channels(HALF) == 1 / 8
    assert share_macs(HALF) == 100 / 800
    assert share_macs(OTHERS | {"supernet_macs": 0}) == 0


def test_all_other_layers_together_are_no_block():
    assert len(list_searchable(BLOCKS.values())) == 9
    assert OTHERS not in list_searchable(BLOCKS.values())


def test_kinds_are_those_of_the_supernet_in_order():
    assert list_kinds([GONE]) == ["3×3", "5×5", "tokens"]
    assert list_kinds([BLOCKS["head.widen1"]]) == ["3×3", "5×5"]


def test_every_kind_keeps_its_colour():
    kinds = ["3×3", "5×5", "7×7", "9×9", "tokens"]
    colours = [colour_kind(kinds, kind) for kind in kinds]
    assert colours == [*KERNEL_COLOURS, ATTENTION_COLOUR]
    assert len(set(colours)) == 5


@pytest.mark.parametrize("colour", [*KERNEL_COLOURS, ATTENTION_COLOUR])
@pytest.mark.parametrize("background", ["#ffffff", "#14171c"])
def test_every_colour_stands_out_on_white_and_on_near_black(colour, background):
    assert contrast(colour, background) > 2.8


def test_hovering_tells_everything_about_a_block():
    assert describe_block(HALF).split("<br>") == [
        "<b>s1.branch1.block1</b>",
        "2 to 2 channels, stride 1, 8×8",
        "3×3: 1 of 4",
        "5×5: 0 of 4",
        "tokens: 2 of 4",
        "100 of 800 MACs (12.5%)",
        "1 of 10 weights not masked",
    ]
    assert "gone: only its skip path is left" in describe_block(GONE)
    assert describe_block(OTHERS).startswith("<b>stem and classifier</b><br>900 of 900 MACs (100%)")


def test_names_are_escaped():
    assert "<i>" not in describe_block(HALF | {"block": "<i>", "size": "<i>"})
    assert short_name(HALF) == "s1.branch1.block1"
