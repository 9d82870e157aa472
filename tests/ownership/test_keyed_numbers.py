import numpy as np
import pytest
from scipy.stats import chisquare

from lottery_pipeline.ownership.keyed_numbers import choose_places, draw_numbers
from tests.ownership.marks import KEY, key_of


def test_known_numbers():
    # printf of the key, then: openssl dgst -shake256 -xoflen 24
    numbers = draw_numbers(KEY, "carriers/network.layer1.0.conv1.weight", 3)
    assert numbers.dtype == np.uint64
    assert numbers.tolist() == [0xBE6C61FC57ECB427, 0x260E6D9DB2828E1B, 0x7533B6924F6F3772]


def test_fewer_numbers_are_the_first_of_more():
    assert draw_numbers(KEY, "x", 5).tolist() == draw_numbers(KEY, "x", 9)[:5].tolist()
    assert draw_numbers(KEY, "x", 0).tolist() == []


def test_another_key_or_label_gives_other_numbers():
    streams = [
        draw_numbers(key, label, 2).tolist() for key in (KEY, bytes(32)) for label in ("x", "y", "x/0")
    ]
    assert len({number for stream in streams for number in stream}) == 12


def test_three_bits_of_a_number_are_uniform_over_keys():
    symbols = [int(draw_numbers(key_of(number), "x", 4)[3]) & 7 for number in range(4000)]
    assert chisquare(np.bincount(symbols, minlength=8)).pvalue > 0.001


@pytest.mark.parametrize("part", [1, 7, 50, 2**20])
@pytest.mark.parametrize("count", [0, 1, 16, 33])
def test_the_places_chosen_are_the_allowed_ones_with_the_smallest_numbers(count, part, monkeypatch):
    monkeypatch.setattr("lottery_pipeline.ownership.keyed_numbers._PART", part)
    numbers = draw_numbers(KEY, "x", 50).tolist()
    allowed = np.arange(50) % 3 != 1  # 33 of them
    expected = sorted(np.flatnonzero(allowed).tolist(), key=numbers.__getitem__)[:count]
    assert choose_places(KEY, "x", allowed, count).tolist() == expected
