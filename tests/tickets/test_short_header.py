"""The header of version 2: every list of layers has one short form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.short_header import MAX_LAYERS, lengthen_header, shorten_header
from tests.reference.joined_naive import lengthen_naive, shorten_naive


def header_of(*names):
    return {"seed": 1, "layers": [{"name": name, "shape": [2, 3], "kept": 4} for name in names]}


def test_a_name_is_written_without_what_it_shares_with_the_one_before():
    names = ("network.conv1.weight", "network.layer1.0.conv1.weight", "network.layer1.0.conv2.weight", "fc")
    short = shorten_header(header_of(*names), "")
    assert short == {
        "seed": 1,
        "layers": [
            [0, "network.conv1.weight", [2, 3], 4],
            [8, "layer1.0.conv1.weight", [2, 3], 4],
            [21, "2.weight", [2, 3], 4],
            [0, "fc", [2, 3], 4],
        ],
    }
    assert lengthen_header(short) == header_of(*names)


def test_halves_are_written_beside_the_layers_and_are_not_part_of_the_long_header():
    short = shorten_header(header_of("a"), ".b")
    assert short["halves"] == ".b"
    assert lengthen_header(short) == header_of("a")


@given(st.lists(st.text("ab.", min_size=1, max_size=9), min_size=1, max_size=9))
def test_any_names_come_back(names):
    header = header_of(*names)
    short = shorten_header(header, "")
    assert short == shorten_naive(header)
    assert lengthen_header(short) == lengthen_naive(short) == header


@given(st.lists(st.tuples(st.integers(-1, 4), st.text("ab", max_size=3)), max_size=4))
def test_what_can_be_lengthened_is_what_is_written(rows):
    short = {"layers": [[shared, rest, [1], 1] for shared, rest in rows]}
    try:
        long = lengthen_header(short)
    except TicketError:
        sound = all(shared >= 0 for shared, _ in rows) and shorten_naive(lengthen_naive(short)) == short
        assert not sound
        return
    assert shorten_naive(long) == short


def test_a_name_does_not_grow_beyond_256_characters():
    rows = [[0, "a" * 200, [1], 1], [200, "b" * 56, [1], 1]]
    assert len(lengthen_header({"layers": rows})["layers"][1]["name"]) == 256
    rows[1][1] += "b"
    with pytest.raises(TicketError, match="longer than 256 characters"):
        lengthen_header({"layers": rows})


def test_no_more_layers_are_written_than_are_read():
    most = header_of(*map(str, range(MAX_LAYERS)))
    assert lengthen_header(shorten_header(most, "")) == most
    more = header_of(*map(str, range(MAX_LAYERS + 1)))
    with pytest.raises(TicketError, match="more than 8192 prunable layers"):
        shorten_header(more, "")
    with pytest.raises(TicketError, match="not a list of at most 8192"):
        lengthen_header(shorten_naive(more))
