import math

import pandas as pd
import pytest

from lottery_pipeline.reporting import formatting as fmt

S = fmt.NARROW_SPACE


@pytest.mark.parametrize(
    ("density", "text"),
    [(1.0, "100%"), (0.64, "64%"), (0.10737, "10.7%"), (0.0738, "7.38%"), (0.007379, "0.738%"), (0.0, "0%")],
)
def test_a_density_keeps_three_significant_digits(density, text):
    assert fmt.density(density) == text


@pytest.mark.parametrize(
    ("difference", "text"), [(-0.0062, "−0.6"), (0.012, "+1.2"), (0.0001, "±0.0"), (-0.0001, "±0.0")]
)
def test_a_difference_always_shows_its_sign(difference, text):
    assert fmt.points(difference) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, f"0.4{S}s"),
        (9.97, f"10{S}s"),
        (59.7, f"1.0{S}min"),
        (75, f"1.2{S}min"),
        (3_599, f"1{S}h 00{S}min"),
        (7_980, f"2{S}h 13{S}min"),
    ],
)
def test_a_duration_is_said_in_the_unit_a_person_would_use(seconds, text):
    assert fmt.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_234, f"1.23{S}k"), (41_000_000, f"41.0{S}M"), (999_999, f"1.00{S}M")],
)
def test_a_large_count_gets_a_prefix(number, text):
    assert fmt.quantity(number) == text


def test_bytes_get_their_unit():
    assert fmt.size(812) == f"812{S}B"
    assert fmt.size(34_816) == f"34.8{S}kB"


def test_epochs_show_a_fraction_only_where_there_is_one():
    assert fmt.epochs(12.0) == "12"
    assert fmt.epochs(4.25) == "4.2"


@pytest.mark.parametrize("missing", [None, math.nan, pd.NA])
@pytest.mark.parametrize(
    "write",
    [fmt.percent, fmt.density, fmt.points, fmt.whole, fmt.epochs, fmt.duration, fmt.quantity, fmt.size],
)
def test_a_missing_number_is_a_dash(write, missing):
    assert write(missing) == "–"


def test_a_fingerprint_is_cut_to_ten_characters():
    assert fmt.short_fingerprint("0123456789abcdef") == "0123456789"
    assert fmt.short_fingerprint(None) == "–"
    assert fmt.short_fingerprint(math.nan) == "–"
