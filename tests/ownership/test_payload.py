import numpy as np
import pytest
import reedsolo
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from lottery_pipeline.ownership.payload import SYMBOLS, decode_payload, draw_targets, encode_payload
from tests.ownership.marks import KEY, PAYLOAD, key_of, show_symbols


def groups_of_bytes(first: int, last: int) -> list[int]:
    """Return the symbols that lie in these bytes of the code alone; eight of them fill three bytes."""
    return [symbol for symbol in range(SYMBOLS) if 8 * first <= 3 * symbol and 3 * symbol + 3 <= 8 * last]


def test_the_code_of_the_library_is_the_known_one():
    code = bytes(reedsolo.RSCodec(10).encode(bytes([1, 2, 3, 4])))
    assert code.hex() == "010203042c9d1c2b3df868fa984d"
    damaged = bytearray(code)
    for place in range(5):
        damaged[place] ^= 255
    assert bytes(reedsolo.RSCodec(10).decode(damaged)[0]) == bytes([1, 2, 3, 4])
    damaged[5] ^= 255
    with pytest.raises(reedsolo.ReedSolomonError):
        reedsolo.RSCodec(10).decode(damaged)


def test_symbols_are_the_bits_of_the_code_in_threes():
    symbols = encode_payload(PAYLOAD, 128)
    bits = "".join(f"{symbol:03b}" for symbol in symbols)
    code = bytes(reedsolo.RSCodec(32).encode(PAYLOAD))
    assert len(code) == 48
    assert bits == "".join(f"{byte:08b}" for byte in code)
    # 0x64 0x65 0x66 = 011 001 000 110 010 101 100 110
    assert symbols[:8].tolist() == [3, 1, 0, 6, 2, 5, 4, 6]


def test_symbols_are_repeated_round_robin():
    symbols = encode_payload(PAYLOAD, 300)
    assert symbols.tolist() == (encode_payload(PAYLOAD, 128).tolist() * 3)[:300]


def test_known_targets():
    assert draw_targets(KEY, PAYLOAD, 16).tolist() == [3, 4, 7, 5, 7, 7, 4, 4, 1, 4, 5, 2, 0, 4, 1, 7]
    assert draw_targets(KEY, PAYLOAD, 16, 1).tolist() == [0, 3, 7, 1, 7, 3, 0, 7, 1, 3, 6, 3, 5, 7, 7, 5]


def test_targets_are_uniform_over_keys_in_every_group_and_whatever_the_payload():
    for payload in (bytes(16), PAYLOAD):
        drawn = np.stack([draw_targets(key_of(number), payload, 200) for number in range(1500)])
        assert chisquare(np.bincount(drawn.reshape(-1), minlength=8)).pvalue > 0.001
        by_group = [chisquare(np.bincount(column, minlength=8)).pvalue for column in drawn.T]
        assert min(by_group) > 0.001 / 200
        # Neighbours and copies of a symbol (128 groups apart) do not betray each other.
        for distance in (1, 128):
            pairs = 8 * drawn[:, 0] + drawn[:, distance]
            assert chisquare(np.bincount(pairs, minlength=64)).pvalue > 0.001


@settings(max_examples=30)
@given(st.binary(min_size=16, max_size=16), st.integers(128, 400), st.integers(0, 15), st.integers(0, 99))
def test_what_shows_every_target_decodes(payload, count, trial, number):
    key = key_of(number)
    scores = show_symbols(draw_targets(key, payload, count, trial))
    assert decode_payload(scores, key, trial) == payload
    assert decode_payload(scores, key, trial + 1) != payload
    assert decode_payload(scores, key_of(number + 1), trial) != payload


def test_sixteen_wrong_bytes_are_repaired_and_seventeen_are_not():
    targets = draw_targets(KEY, PAYLOAD, 128)
    assert decode_payload(show_symbols(targets, groups_of_bytes(0, 16)), KEY) == PAYLOAD
    assert decode_payload(show_symbols(targets, groups_of_bytes(32, 48)), KEY) == PAYLOAD
    assert decode_payload(show_symbols(targets, groups_of_bytes(0, 17)), KEY) != PAYLOAD
    assert decode_payload(show_symbols(targets, range(128)), KEY) != PAYLOAD


def test_thirty_two_missing_bytes_are_repaired_and_thirty_three_are_not():
    scores = show_symbols(draw_targets(KEY, PAYLOAD, 128))
    for last, expected in ((32, PAYLOAD), (33, None)):
        damaged = scores.copy()
        damaged[groups_of_bytes(0, last)] = 0
        assert decode_payload(damaged, KEY) == expected
    nothing = np.zeros((128, 8))
    assert decode_payload(nothing, KEY) is None


def test_a_group_without_a_single_largest_carrier_counts_as_missing_not_as_wrong():
    scores = show_symbols(draw_targets(KEY, PAYLOAD, 128))
    scores[groups_of_bytes(16, 48)] = 0.5
    assert decode_payload(scores, KEY) == PAYLOAD


def test_copies_of_a_symbol_are_added_up():
    targets = draw_targets(KEY, PAYLOAD, 3 * 128)
    wrong = range(128)  # every symbol is wrong once and right twice
    assert decode_payload(show_symbols(targets, wrong), KEY) == PAYLOAD
    assert decode_payload(show_symbols(targets, range(2 * 128)), KEY) != PAYLOAD


def test_a_copy_votes_by_shares_whatever_its_scale():
    targets = draw_targets(KEY, PAYLOAD, 3 * 128)
    scores = show_symbols(targets, range(128))
    scores[:128] *= 1e6
    assert decode_payload(scores, KEY) == PAYLOAD


def test_with_a_sixth_of_all_symbols_wrong_it_mostly_decodes_and_with_half_it_never_does():
    generator = np.random.default_rng(5)
    targets = draw_targets(KEY, PAYLOAD, 144)

    def decodes(share):
        wrong = generator.permutation(144)[: round(share * 144)]
        return decode_payload(show_symbols(targets, wrong), KEY) == PAYLOAD

    assert sum(decodes(0.1) for _ in range(20)) == 20
    assert sum(decodes(0.5) for _ in range(20)) == 0


def test_no_scores_break_the_decoder():
    generator = np.random.default_rng(2)
    for count in (1, 60, 128, 144, 300):
        for share in (0.0, 0.1, 0.5, 1.0):
            for _ in range(10):
                scores = generator.random((count, 8)) * (generator.random((count, 8)) < share)
                found = decode_payload(scores, KEY)
                assert found is None or (len(found) == 16 and found != PAYLOAD)
