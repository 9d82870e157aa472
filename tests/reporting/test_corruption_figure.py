import json

import pytest

from lottery_pipeline.reporting.figures import draw_corruptions
from lottery_pipeline.robustness.rows import make_row
from tests.reporting.robustness_records import make_full_record, make_record, make_rows, name_network


def trace(figure, name):
    return next(item for item in figure.data if item.name == name)


def test_clean_images_stand_at_the_top_and_the_mean_at_the_bottom():
    figure = draw_corruptions(make_record())
    names = ["no corruption", "gaussian noise", "contrast", "mean of all"]
    assert list(figure.layout.yaxis.ticktext) == names
    assert figure.layout.yaxis.range == (3.5, -0.5)
    assert list(trace(figure, "LTR").x) == pytest.approx([88.0, 79.0, 85.0, 82.0])


def test_only_the_markers_of_a_dense_network_are_joined_and_lie_on_their_line():
    figure = draw_corruptions(make_full_record())
    joined = [item for item in figure.data if "lines" in item.mode]
    assert [item.name for item in joined] == ["Dense network", "Dense, of SuperTickets"]
    assert list(joined[0].y) == list(range(15))
    beside = [item.y[0] for item in figure.data if "lines" not in item.mode]
    assert len(set(beside)) == len(beside) == 9
    assert max(abs(place) for place in beside) < 0.4


def test_the_title_says_which_corruptions_they_are():
    assert draw_corruptions(make_record()).layout.title.text == "Accuracy under corruptions (C-like)"
    assert draw_corruptions(make_record(corruptions=None)).layout.title.text == "Accuracy under corruptions"


def test_another_test_set_has_a_line_of_its_own():
    rows = [*make_record()["rows"], *make_rows("ltr", make_row("corruption", "cifar10.1", "accuracy", 0.7))]
    figure = draw_corruptions(make_record(rows=rows))
    assert figure.layout.yaxis.ticktext[1] == "cifar10.1"
    assert trace(figure, "LTR").x[1] == 70.0
    assert trace(figure, "Dense network").x[1] is None


def test_hovering_tells_severities_and_errors():
    text = trace(draw_corruptions(make_record()), "LTR").text
    assert "from mild to severe: 81.0%, 79.0%, 77.0%" in text[1]
    assert "95% interval" in text[1]
    assert text[2].endswith("90% of the errors of its dense parent")


def test_an_accuracy_of_zero_is_drawn_and_told():
    rows = make_rows(
        "dense",
        make_row("corruption", "fog 5", "accuracy", 0.0),
        make_row("corruption", "fog", "accuracy", 0.0),
        make_row("corruption", "mean", "accuracy", float("nan")),
    )
    (only,) = draw_corruptions({"networks": [name_network("dense")], "rows": rows}).data
    assert list(only.x) == [0.0]
    assert only.text[0].endswith("from mild to severe: 0.0%")


def test_the_figure_is_plain_json_and_names_are_escaped():
    rows = make_rows(
        "<img src=x>",
        make_row("corruption", "<img src=y> 1", "accuracy", 0.5),
        make_row("corruption", "<img src=y>", "accuracy", 0.5),
    )
    text = draw_corruptions({"networks": [name_network("<img src=x>")], "rows": rows}).to_json()
    assert "<img" not in text.replace("\\u003c", "<")
    assert "bdata" not in text
    assert len(draw_corruptions(make_full_record()).to_json()) < 60_000
    assert json.loads(text)["layout"]["title"]["text"]


@pytest.mark.parametrize("record", [{}, make_record(rows=[])])
def test_without_a_corruption_the_figure_says_so(record):
    figure = draw_corruptions(record)
    assert len(figure.data) == 0
    assert figure.layout.annotations[0].text == "No image has been corrupted."
