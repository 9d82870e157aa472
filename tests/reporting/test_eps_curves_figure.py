import json

import pytest

from lottery_pipeline.reporting.figures import draw_eps_curves
from lottery_pipeline.reporting.palette import DENSE_COLOUR, LOOKS
from lottery_pipeline.robustness.rows import make_row
from tests.reporting.robustness_records import make_full_record, make_record, make_rows, name_network


def trace(figure, name):
    return next(item for item in figure.data if item.name == name)


def test_a_line_starts_at_clean_accuracy_and_is_in_percent():
    figure = draw_eps_curves(make_record())
    assert list(figure.layout.xaxis.ticktext) == ["0", "1", "8"]
    assert list(trace(figure, "Dense network").y) == [90.0, 60.0, 20.0]
    assert list(trace(figure, "LTR").y) == [88.0, 50.0, 10.0]
    assert trace(figure, "Dense network").line.color == DENSE_COLOUR
    assert trace(figure, "LTR").line.color == LOOKS["ltr"].colour


def test_intervals_are_bars_that_stand_beside_each_other():
    figure = draw_eps_curves(make_record())
    dense, ltr = trace(figure, "Dense network"), trace(figure, "LTR")
    assert list(dense.x) == pytest.approx([-0.03, 0.97, 1.97])
    assert list(ltr.x) == pytest.approx([0.03, 1.03, 2.03])
    # 1.96 sqrt((0.2 * 0.8 + 0.005) / 200)
    assert ltr.error_y.symmetric is False
    assert dense.error_y.array[2] == dense.error_y.arrayminus[2] == pytest.approx(5.6296, abs=1e-3)


def test_many_networks_stay_within_their_step():
    figure = draw_eps_curves(make_full_record())
    places = [x for item in figure.data if item.mode == "lines+markers" for x in item.x[1:2]]
    assert len(places) == len(set(places)) == 11
    assert max(places) - min(places) < 0.61
    assert len(figure.to_json()) < 40_000


def test_the_hover_holds_interval_images_and_median():
    text = trace(draw_eps_curves(make_record()), "LTR").text
    assert text[2] == (
        "<b>LTR</b>, Linf eps 8/255<br>10.0% are right<br>95% interval 5.7 to 14.3%<br>200 images<br>"
        "median least eps 2/255"
    )
    assert text[0].startswith("<b>LTR</b>, clean images<br>88.0% are right")


def test_chance_is_a_line_only_if_the_number_of_classes_is_known():
    assert list(trace(draw_eps_curves(make_record()), "Chance, 10.0%").y) == [10.0, 10.0]
    names = [item.name for item in draw_eps_curves(make_record(classes=None)).data]
    assert names == ["Dense network", "LTR"]


def test_an_eps_that_a_network_was_not_attacked_at_is_a_gap():
    rows = [
        row for row in make_record()["rows"] if (row["method"], row["setting"]) != ("ltr", "Linf eps 1/255")
    ]
    assert list(trace(draw_eps_curves(make_record(rows=rows)), "LTR").y) == [88.0, None, 10.0]


def test_numbers_that_are_not_finite_are_gaps():
    rows = make_rows("dense", make_row("adversarial", "L2 eps 0.5", "robust_accuracy", float("nan")))
    figure = draw_eps_curves({"networks": [name_network("dense")], "rows": rows})
    assert list(figure.data[0].y) == [None, None]
    assert figure.layout.xaxis.title.text.startswith("eps, L2")
    assert "NaN" not in figure.to_json()


def test_the_figure_is_small_plain_json_and_names_are_escaped():
    hostile = make_rows("<img src=x>", make_row("adversarial", "Linf eps 1/255", "robust_accuracy", 0.5))
    text = draw_eps_curves({"networks": [name_network("<img src=x>")], "rows": hostile}).to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert "<img" not in text.replace("\\u003c", "<")
    assert json.loads(text)["layout"]["title"]["text"]


@pytest.mark.parametrize("record", [{}, make_record(rows=[]), {"networks": [], "rows": []}])
def test_without_an_attack_the_figure_says_so(record):
    figure = draw_eps_curves(record)
    assert len(figure.data) == 0
    assert figure.layout.annotations[0].text == "No image has been attacked."
