"""The code of masks: known answers, a naive twin, one code for each mask, and bounds."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.tickets import mask_coding
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.mask_coding import check_bits, decode_mask, encode_mask, longest_code
from tests.reference.rice_naive import decode_naive, encode_naive, low_bits_naive, plan_naive


def mask_of(size, places):
    mask = np.zeros(size, dtype=np.bool_)
    mask[list(places)] = True
    return mask


def decode(code, size, kept):
    bits, used = decode_mask(np.frombuffer(code, np.uint8), size=size, kept=kept, name="fc")
    return np.unpackbits(bits, count=size).astype(np.bool_), used


def draw_mask(size, density, seed=0):
    return np.random.default_rng(seed).random(size) < density


# Gaps are cut into low and high bits: 2 and 6 are 0|010 and 0|110, 18 is 2|010, with r = 3 low bits each.
KNOWN = [
    (mask_of(24, [2, 9]), "58 c0"),  # 010 110 00, 1 1 000000
    (~mask_of(24, [2, 9]), "58 c0"),
    (mask_of(24, [1, 20]), "28 90"),  # 001 010 00, 1 001 0000
    (mask_of(10, [0, 3, 4, 9]), "98 40"),  # as bits: 10011000 01
    (mask_of(3, [1]), "40"),
    (mask_of(10**6, [999_999]), "e8 47 e0 40"),  # r = 19: 999,999 = 1|1110100001000111111
    (mask_of(9, []), ""),
    (mask_of(9, range(9)), ""),
    (mask_of(1, [0]), ""),
]


@pytest.mark.parametrize(("mask", "code"), KNOWN)
def test_codes_are_those_worked_out_by_hand(mask, code):
    assert encode_mask(mask).hex(" ") == code
    again, used = decode(bytes.fromhex(code), mask.size, int(mask.sum()))
    assert (again == mask).all()
    assert used == len(bytes.fromhex(code))


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.binary(max_size=9))
def test_any_mask_comes_back_whatever_follows_it(bits, rest):
    mask = np.array(bits)
    code = encode_mask(mask)
    assert code == encode_naive(bits)
    again, used = decode(code + rest, mask.size, sum(bits))
    assert (again == mask).all()
    assert used == len(code) <= longest_code(mask.size, sum(bits)) <= -(-mask.size // 8)


@given(st.integers(1, 3000), st.floats(0, 1), st.integers(0, 2**32))
def test_masks_of_any_density_come_back(size, density, seed):
    mask = draw_mask(size, density, seed)
    code = encode_mask(mask)
    again, used = decode(code, size, int(mask.sum()))
    assert (again == mask).all()
    assert used == len(code) <= longest_code(size, int(mask.sum()))


@given(st.integers(1, 200), st.integers(0, 200), st.binary(max_size=30))
def test_what_decodes_is_the_only_code_of_its_mask_and_all_else_is_refused(size, kept, code):
    kept = min(kept, size)
    try:
        wanted = decode_naive(code, size, kept)
    except ValueError:
        with pytest.raises(TicketError, match="fc"):
            decode(code, size, kept)
        return
    mask, used = decode(code, size, kept)
    assert (mask.tolist(), used) == wanted
    assert encode_mask(mask) == code[:used]


def test_of_all_codes_of_two_bytes_exactly_the_276_masks_of_two_among_24_are_read():
    found = set()
    for first, second in itertools.product(range(0, 256, 4), range(256)):
        try:
            mask, used = decode(bytes([first, second]), 24, 2)
        except TicketError:
            continue
        assert used == 2
        found.add(tuple(np.flatnonzero(mask).tolist()))
    assert found == set(itertools.combinations(range(24), 2))


@pytest.mark.parametrize("density", [0.0001, 0.03, 0.25, 0.9])
def test_masks_longer_than_a_block_come_back(density):
    mask = draw_mask(1_500_001, density)
    code = encode_mask(mask)
    again, used = decode(code, mask.size, int(mask.sum()))
    assert (again == mask).all()
    assert used == len(code)


def test_blocks_are_joined_without_a_seam(monkeypatch):
    mask = draw_mask(5_000, 0.11)
    whole = encode_mask(mask)
    for block in (8, 16, 64):
        monkeypatch.setattr(mask_coding, "BLOCK", block)
        assert encode_mask(mask) == whole
        assert (decode(whole, mask.size, int(mask.sum()))[0] == mask).all()


@pytest.mark.parametrize("density", [0.0005, 0.0074, 0.018, 0.05, 0.1, 0.168, 0.25, 0.32, 0.8, 0.98])
def test_random_masks_take_less_than_a_twentieth_more_than_their_entropy(density):
    mask = draw_mask(400_000, density)
    kept = mask.mean()
    entropy = -(kept * math.log2(kept) + (1 - kept) * math.log2(1 - kept)) * mask.size / 8
    assert entropy - 12 < len(encode_mask(mask)) < 1.05 * entropy + 12


def test_no_other_number_of_low_bits_has_a_shorter_longest_code():
    for size, kept in itertools.product((64, 100, 1000, 4097), range(1, 21)):
        bits = [kept * (low + 1) + ((size - kept) >> low) for low in range(14)]
        assert bits[low_bits_naive(size, kept)] == min(bits)


def test_the_longest_code_is_reached_by_the_last_weights():
    """All of a layer's gaps in front: the high bits of one gap are as many as they can be."""
    for size, kept in ((4097, 1), (4096, 3), (999, 11), (100_000, 40)):
        longest = longest_code(size, kept)
        assert longest - 1 <= len(encode_mask(mask_of(size, range(size - kept, size)))) <= longest
    assert longest_code(8, 4) == 1
    assert longest_code(2**30, 2**29) == 2**27
    assert longest_code(2**30, 1) == 4 + 1
    assert longest_code(7, 0) == longest_code(7, 7) == 0


def test_gaps_are_used_up_to_a_third_and_from_two_thirds():
    kinds = [plan_naive(9000, kept)[0] for kept in (1, 2900, 3100, 5900, 6100, 8999)]
    assert kinds == ["gaps", "gaps", "bits", "bits", "gaps", "gaps"]
    sizes = [longest_code(9000, kept) for kept in (1, 2900, 3100, 5900, 6100, 8999)]
    assert [size == 1125 for size in sizes] == [False, False, True, True, False, False]


TWO_OF_24 = "58 c0"
REFUSED = [
    ("", 24, 2, "is cut off"),
    ("58", 24, 2, "is cut off"),
    ("58 80", 24, 2, "is cut off"),  # one gap ends, the other does not
    ("58 10", 24, 2, "leads beyond its end"),  # 3 * 8 + 2 = place 26
    ("fc 90", 24, 2, "leads beyond its end"),  # 7 + 1 + 23 = place 31
    ("58 00", 24, 2, "is cut off"),  # no gap has as many high bits, so nobody looks further
    ("58 00 c0", 24, 2, "is cut off"),
    ("59 c0", 24, 2, "is not padded with zeros"),
    ("5a c0", 24, 2, "is not padded with zeros"),
    ("58 c1", 24, 2, "is not padded with zeros"),
    ("58 e0", 24, 2, "is not padded with zeros"),  # a gap too many
    ("98", 10, 4, "is cut off"),
    ("98 20", 10, 4, "has bits set beyond its end"),
    ("98 00", 10, 4, "does not have 4 bits set"),
    ("98 c0", 10, 4, "does not have 4 bits set"),
]


@pytest.mark.parametrize(("code", "size", "kept", "words"), REFUSED)
def test_a_wrong_code_is_refused_in_words(code, size, kept, words):
    with pytest.raises(TicketError, match=f"^the (code of the )?mask of fc .*{words}"):
        decode(bytes.fromhex(code), size, kept)


def test_the_same_code_with_another_count_or_size_is_another_mask_or_none():
    assert decode(bytes.fromhex(TWO_OF_24), 24, 2)[0].nonzero()[0].tolist() == [2, 9]
    assert decode(bytes.fromhex(TWO_OF_24), 20, 2)[0].nonzero()[0].tolist() == [2, 9]
    with pytest.raises(TicketError, match="cut off"):
        decode(bytes.fromhex(TWO_OF_24), 24, 3)


def test_one_of_a_thousand_million_weights_takes_five_bytes():
    code = np.frombuffer(b"\xff\xff\xff\xf8\x80", np.uint8)  # r = 29
    bits, used = decode_mask(code, size=2**30, kept=1, name="fc")
    assert (used, len(bits)) == (5, 2**27)
    assert bits[2**26 - 1] == 1  # place 2**29 - 1


def test_check_bits_counts_in_pieces(monkeypatch):
    monkeypatch.setattr(mask_coding, "BLOCK", 8)
    bits = np.packbits(mask_of(100, range(0, 100, 3)))
    check_bits(bits, size=100, kept=34, name="fc")
    with pytest.raises(TicketError, match="does not have 33 bits set"):
        check_bits(bits, size=100, kept=33, name="fc")
