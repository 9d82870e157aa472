import random

import pytest

from lottery_pipeline.reporting.chance import chance_margin, describe_margin, judge


def test_the_margin_covers_about_95_of_100_repetitions():
    generator = random.Random(0)
    images, accuracy, repetitions = 200, 0.9, 2_000

    def measure():
        return sum(generator.random() < accuracy for _ in range(images)) / images

    inside = 0
    for _ in range(repetitions):
        first, second = measure(), measure()
        inside += abs(first - second) <= chance_margin(first, second, images)
    assert 0.93 < inside / repetitions < 0.975


def test_the_margin_is_not_zero_where_both_networks_are_always_right():
    assert chance_margin(1.0, 1.0, 100) > 0.01


def test_more_images_narrow_the_margin():
    assert chance_margin(0.9, 0.9, 10_000) == pytest.approx(chance_margin(0.9, 0.9, 100) / 10, rel=0.1)


def test_a_difference_within_the_margin_is_even():
    assert judge(0.01, 0.95, 0.94, 100) == "even"
    assert judge(0.01, 0.95, 0.94, 100_000) == "good"
    assert judge(-0.01, 0.94, 0.95, 100_000) == "bad"


def test_what_is_printed_alike_is_judged_even():
    # 1.94 against a margin of 1.93: both are printed as 1.9.
    assert chance_margin(0.9944, 0.9751, 359) == pytest.approx(0.0193, abs=0.00005)
    assert judge(0.0194, 0.9944, 0.9751, 359) == "even"
    assert describe_margin(0.0194, 0.9944, 0.9751, 359).startswith(", within the 1.9")


def test_nothing_is_said_about_chance_where_the_number_of_images_is_unknown():
    assert describe_margin(0.01, 0.95, 0.94, None) == ""
    assert judge(0.01, 0.95, 0.94, None) == "good"


def test_the_margin_is_said_in_points():
    assert describe_margin(0.01, 0.95, 0.94, 360) == (
        ", within the 3.4 explained by the choice of 360 test images"
    )
