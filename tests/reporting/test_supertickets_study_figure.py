import json

import pytest

from lottery_pipeline.evaluation.study_summaries import summarise_arms
from lottery_pipeline.reporting.figures import draw_arms
from tests.reporting.study_rows import ARM_ROWS, make_arm

SUMMARY = summarise_arms(ARM_ROWS)
FOUND, RETRAINED = "as the search leaves it", "trained again, masks on"


def trace(figure, name):
    return next(item for item in figure.data if item.name == name)


def test_means_are_in_percent_with_their_intervals_on_the_line_of_their_arm():
    figure = draw_arms(SUMMARY, ARM_ROWS)
    assert list(figure.layout.yaxis.ticktext) == ["Supernet", "Search, then prune", "Two-in-one"]
    found, retrained = trace(figure, FOUND), trace(figure, RETRAINED)
    assert list(found.x) == pytest.approx([97.0, 31.0, 89.0])
    assert list(retrained.x) == pytest.approx([96.0, 98.0])
    assert [round(place) for place in found.y] == [0, 1, 2]
    assert [round(place) for place in retrained.y] == [1, 2]
    assert list(found.error_x.array) == pytest.approx([2.4841] * 3, abs=1e-3)  # t s / sqrt(n)
    assert found.marker.symbol != retrained.marker.symbol


def test_every_seed_is_a_small_open_dot():
    seeds = [item for item in draw_arms(SUMMARY, ARM_ROWS).data if item.name == "one seed"]
    assert [len(item.x) for item in seeds] == [9, 6]
    assert seeds[0].x[0] == 96.0
    assert "seed 0, found" in seeds[0].text[0]


def test_dotted_lines_stand_at_two_in_one():
    figure = draw_arms(SUMMARY, ARM_ROWS)
    assert list(trace(figure, "Two-in-one, found").x) == pytest.approx([89.0, 89.0])
    assert list(trace(figure, "Two-in-one, retrained").x) == pytest.approx([98.0, 98.0])
    alone = [line for line in SUMMARY if line["arm"] == "dense"]
    assert not [item for item in draw_arms(alone, []).data if "Two-in-one" in item.name]


def test_hovering_says_what_the_numbers_mean():
    text = trace(draw_arms(SUMMARY, ARM_ROWS), RETRAINED).text[0]
    assert "96.00%, 3 seeds, 26 epochs" in text
    assert "95% interval 93.52% to 98.48%" in text
    assert "−2.00 points against two-in-one after as many epochs" in text
    assert "5,266 of D = 52,664 weights<br>551" in text


def test_one_seed_has_no_bars_and_the_axis_has_the_name_of_the_metric():
    rows = [make_arm("two_in_one", 0, 0.4, None, metric="mIoU")]
    figure = draw_arms(summarise_arms(rows), rows)
    assert list(trace(figure, FOUND).error_x.array) == [None]
    assert "1 seed," in trace(figure, FOUND).text[0]
    assert figure.layout.xaxis.title.text == "Test mIoU"


def test_the_figure_is_small_plain_json_and_an_unknown_arm_is_escaped():
    hostile = {**SUMMARY[0], "arm": "<img src=x>"}
    text = draw_arms([*SUMMARY, hostile], ARM_ROWS).to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert "<img" not in text.replace("\\u003c", "<")
    assert json.loads(text)["layout"]["title"]["text"]


def test_without_an_arm_the_figure_says_so():
    figure = draw_arms([], [])
    assert figure.layout.annotations[0].text == "No arm has been trained."
    assert len(figure.data) == 0
