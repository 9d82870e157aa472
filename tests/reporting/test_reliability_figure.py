import json

import pytest

from lottery_pipeline.reporting.figures import draw_reliability
from tests.reporting.robustness_records import (
    make_bin,
    make_full_record,
    make_record,
    name_network,
)


def traces(figure, name):
    return [item for item in figure.data if item.name == name]


def test_every_network_has_a_panel_with_its_bins_and_its_error():
    figure = draw_reliability(make_record())
    (dense,) = traces(figure, "Dense network")
    (ltr,) = traces(figure, "LTR")
    assert (list(dense.x), list(dense.y)) == ([0.5, 0.97], [0.45, 0.95])
    assert (list(ltr.x), list(ltr.y)) == ([0.95], [0.88])
    assert ltr.xaxis != dense.xaxis
    assert [note.text for note in figure.layout.annotations] == [
        "Dense network<br>ECE 2.0%",
        "LTR<br>ECE 3.0%",
    ]


def test_a_panel_has_the_diagonal_and_the_line_of_the_dense_parent():
    figure = draw_reliability(make_record())
    beside = [item for item in figure.data if item.xaxis == "x2"]
    assert [list(item.x) for item in beside] == [[0, 1], [0.5, 0.97], [0.95]]
    assert len([item for item in figure.data if item.xaxis == "x"]) == 2


def test_a_bin_with_more_images_has_a_larger_marker():
    small, large = traces(draw_reliability(make_record()), "Dense network")[0].marker.size
    assert 4 <= small < large <= 12


def test_hovering_tells_what_a_bin_holds():
    text = traces(draw_reliability(make_record()), "LTR")[0].text[0]
    assert text == ("<b>LTR</b><br>80% to 100% sure: 200 images<br>confidence 95.0%, accuracy 88.0%")


def test_eleven_networks_have_eleven_panels_in_rows_of_three():
    figure = draw_reliability(make_full_record())
    assert len({item.xaxis for item in figure.data}) == 11
    titled = [axis for axis in figure.select_xaxes() if axis.title.text == "Confidence"]
    assert len(titled) == 3
    assert figure.layout.height > draw_reliability(make_record()).layout.height
    assert figure.layout.showlegend is False


def test_one_network_alone_and_one_without_bins_are_drawn_as_far_as_they_go():
    record = make_record(
        reliability={"ltr": [make_bin(0.8, 1.0, 3, 0.9, float("nan"))], "dense": []}, rows=[]
    )
    figure = draw_reliability(record)
    assert [note.text for note in figure.layout.annotations] == ["LTR<br>ECE –"]
    assert list(traces(figure, "LTR")[0].y) == [None]


def test_the_figure_is_plain_json_and_names_are_escaped():
    name = "<img src=x>"
    record = {"networks": [name_network(name)], "reliability": {name: [make_bin(0, 1, 1, 0.5, 0.5)]}}
    text = draw_reliability(record).to_json()
    assert "<img" not in text.replace("\\u003c", "<")
    assert "bdata" not in text
    assert len(draw_reliability(make_full_record()).to_json()) < 50_000
    assert json.loads(text)["layout"]["title"]["text"]


@pytest.mark.parametrize("record", [{}, make_record(reliability={})])
def test_without_confidences_the_figure_says_so(record):
    figure = draw_reliability(record)
    assert len(figure.data) == 0
    assert figure.layout.annotations[0].text == "Confidence has not been measured."
