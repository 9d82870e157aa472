import pytest

from lottery_pipeline.reporting.robustness_record import index_rows
from lottery_pipeline.reporting.robustness_words import (
    count_things,
    describe_interval,
    join_words,
    label_compared,
    label_setting,
    print_eps,
    print_interval,
    print_median,
    print_median_interval,
    print_number,
    print_p,
    wrap_label,
)
from lottery_pipeline.robustness.rows import make_row
from tests.reporting.robustness_records import make_rows


def index_median(value, low=None, high=None, norm="Linf"):
    settings = ("Linf eps 1/255", "Linf eps 8/255") if norm == "Linf" else ("L2 eps 0.5",)
    return index_rows(
        {
            "rows": make_rows(
                "ltr",
                make_row("adversarial", norm, "median_eps", value, low=low, high=high, n=9),
                *(make_row("adversarial", setting, "robust_accuracy", 0.6) for setting in settings),
            )
        }
    )


@pytest.mark.parametrize(
    ("value", "norm", "text"),
    [(8 / 255, "Linf", "8/255"), (0.25 / 255, "Linf", "0.25/255"), (0.0, "Linf", "0"), (0.5, "L2", "0.5")],
)
def test_a_distance_is_printed_in_the_units_of_its_norm(value, norm, text):
    assert print_eps(value, norm) == text


def test_a_median_that_is_not_reached_lies_above_the_largest_eps_tried():
    assert print_median(index_median(2 / 255), "ltr", "Linf") == "2/255"
    assert print_median(index_median(None), "ltr", "Linf") == "above 8/255"
    assert print_median(index_median(None, norm="L2"), "ltr", "L2") == "above 0.5"
    assert print_median(index_median(2 / 255), "cts", "Linf") == "–"


def test_the_interval_of_a_median_may_be_open_above():
    assert print_median_interval(index_median(0.1, 1 / 255, 2 / 255), "ltr", "Linf") == "1 to 2/255"
    assert print_median_interval(index_median(0.1, 1 / 255, None), "ltr", "Linf") == "1/255 to above 8/255"
    assert print_median_interval(index_median(0.1), "ltr", "Linf") == ""


def test_intervals_of_fractions_are_in_percent():
    row = make_row("corruption", "fog", "accuracy", 0.5, low=0.4, high=0.6, n=1200)
    assert print_interval(row) == "40.0 to 60.0%"
    assert describe_interval(row, 0.95) == ["95% interval 40.0 to 60.0%", "1,200 images"]
    assert print_interval(row | {"low": None}) == ""
    assert describe_interval(None, 0.95) == []


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("torchvision:SVHN", "SVHN"),
        ("folder:/home/ada/other pictures/", "other pictures"),
        ("jpeg_compression", "jpeg compression"),
        ("folder:", "folder:"),
    ],
)
def test_a_folder_shows_only_its_last_part(name, label):
    assert label_setting(name) == label


def test_settings_p_values_and_losses_are_printed_for_people():
    assert label_compared("clean") == "clean images"
    assert label_compared("Linf eps 2/255") == "Linf eps 2/255"
    assert [print_p(value) for value in (None, 0.0004, 0.04, 1.0)] == ["–", "<0.001", "0.040", "1.000"]
    assert [print_number(value) for value in (None, 0.12345)] == ["–", "0.123"]


def test_words_are_counted_joined_and_wrapped():
    assert [count_things(number, "check") for number in (1, 2)] == ["1 check", "2 checks"]
    assert join_words(["a"]) == "a"
    assert join_words(["a", "b"]) == "a and b"
    assert join_words(["a", "b", "c", "d"]) == "a, b, c and d"
    assert join_words(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert wrap_label("Dense, of <b>", 9) == "Dense, of<br>&lt;b&gt;"
