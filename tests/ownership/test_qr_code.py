import numpy as np
import pytest

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.qr_code import (
    FUNCTION_PATTERNS,
    PASTED_BACK,
    make_symbol,
    read_symbol,
)
from tests.reference.qr_naive import data_modules, decode_naive, function_modules

TEXT = "signature"
FINDER = ["#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"]


def test_the_modules_are_as_many_as_the_standard_says():
    assert FUNCTION_PATTERNS.size == 841
    assert FUNCTION_PATTERNS.sum() == 274
    assert (~FUNCTION_PATTERNS).sum() == 567 == 70 * 8 + 7
    assert PASTED_BACK.sum() == 290
    assert (~PASTED_BACK).sum() == 551


def test_the_published_area_holds_all_function_patterns_and_16_modules_of_data():
    assert not (FUNCTION_PATTERNS & ~PASTED_BACK).any()
    rows, columns = np.nonzero(PASTED_BACK & ~FUNCTION_PATTERNS)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        *((20, column) for column in range(9) if column != 6),
        *((row, 20) for row in range(9) if row != 6),
    }


def test_the_function_patterns_are_those_of_the_naive_layout():
    found = {tuple(place) for place in np.argwhere(FUNCTION_PATTERNS).tolist()}
    assert found == function_modules()
    assert len(data_modules()) == 567


def test_light_is_true_and_dark_is_false():
    symbol = make_symbol(TEXT)
    assert symbol.shape == (29, 29)
    drawn = ["".join("." if module else "#" for module in row[:7]) for row in symbol[:7]]
    assert drawn == FINDER
    assert symbol[7, :8].all()  # a separator
    assert not symbol[21, 8]  # the dark module; (21, 21) is inside the alignment pattern
    assert 390 < symbol.sum() < 450


def test_function_patterns_do_not_depend_on_the_text():
    first, second = make_symbol("a"), make_symbol("z" * 24)
    assert np.array_equal(first[FUNCTION_PATTERNS], second[FUNCTION_PATTERNS])
    assert not np.array_equal(first[~FUNCTION_PATTERNS], second[~FUNCTION_PATTERNS])


@pytest.mark.parametrize(
    "text", ["a", TEXT, "12345", "ABC", "ünï €", "日本語", '{"a":1}', "x" * 24, "two\nlines"]
)
def test_a_text_is_read_back(text):
    assert read_symbol(make_symbol(text)) == text
    assert decode_naive(make_symbol(text)) == text.encode()


@pytest.mark.parametrize("text", ["", "x" * 25, "é" * 13, "\ud800"])
def test_a_text_that_does_not_fit_is_refused(text):
    with pytest.raises(OwnershipError, match="must be 1 to 24 bytes in UTF-8"):
        make_symbol(text)


def test_a_symbol_without_its_function_patterns_is_still_read():
    symbol = make_symbol(TEXT)
    assert read_symbol(symbol | FUNCTION_PATTERNS) == TEXT
    assert read_symbol(np.where(PASTED_BACK, True, symbol)) == TEXT  # 16 modules of data are lost as well


def test_eleven_wrong_codewords_in_each_block_are_repaired_and_twelve_are_not():
    symbol, modules = make_symbol(TEXT), data_modules()
    for block in range(2):
        places = [modules[8 * (2 * word + block)] for word in range(12)]  # one module of each codeword
        damaged = symbol.copy()
        for row, column in places[:11]:
            damaged[row, column] ^= True
        assert read_symbol(damaged) == TEXT
        damaged[places[11]] ^= True
        assert read_symbol(damaged) is None


def test_chance_and_uniform_modules_are_no_text():
    generator = np.random.default_rng(0)
    assert all(read_symbol(generator.random((29, 29)) < 0.5) is None for _ in range(50))
    assert read_symbol(np.ones((29, 29), dtype=bool)) is None
    assert read_symbol(np.zeros((29, 29), dtype=bool)) is None


@pytest.mark.parametrize("modules", [np.zeros((28, 29), dtype=bool), np.zeros((29, 29))])
def test_what_is_not_a_symbol_is_refused(modules):
    with pytest.raises(OwnershipError, match="a symbol is a bool array"):
        read_symbol(modules)


# A codeword is wrong if one of its 8 modules is, and each of the two blocks of 35 repairs at most 11. So the
# 30 % that level H is known for are codewords: at 4.2 % of the modules, half of all symbols are lost.
@pytest.mark.parametrize(("rate", "expected"), [(0.02, 0.993), (0.03, 0.886), (0.04, 0.563), (0.05, 0.219)])
def test_flips_of_modules_lose_as_many_symbols_as_reed_solomon_must(rate, expected):
    trials, symbol = 400, make_symbol(TEXT)
    generator = np.random.default_rng(int(1000 * rate))
    texts = [read_symbol(symbol ^ (generator.random((29, 29)) < rate)) for _ in range(trials)]
    assert set(texts) <= {TEXT, None}
    deviation = (expected * (1 - expected) / trials) ** 0.5
    assert abs(texts.count(TEXT) / trials - expected) < 3 * deviation


def test_the_reader_repairs_exactly_what_reed_solomon_can():
    symbol, generator = make_symbol(TEXT), np.random.default_rng(1)
    for _ in range(60):
        damaged = symbol ^ (~FUNCTION_PATTERNS & (generator.random((29, 29)) < 0.042))
        naive = decode_naive(damaged)
        assert read_symbol(damaged) == (None if naive is None else naive.decode())
