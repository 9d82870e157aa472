import json

import pytest

from lottery_pipeline.reporting.figures import draw_robustness_heatmap
from lottery_pipeline.robustness.rows import make_row
from tests.reporting.robustness_records import make_full_record, make_record, make_rows, name_network


def cells(record, name):
    (heat,) = draw_robustness_heatmap(record).data
    row = list(heat.y).index(name)
    return dict(zip(heat.x, zip(heat.text[row], heat.z[row], strict=True), strict=True))


def test_a_cell_says_the_value_and_its_colour_the_difference_to_dense():
    found = cells(make_record(), "LTR")
    assert found == {
        "clean": ("88.0", -2.0),
        "Linf eps 8/255": ("10.0", -10.0),
        "corrupted, mean": ("82.0", 2.0),
        "corrupted,<br>worst": ("79.0", 2.0),
        "AUROC shuffled<br>pixels": ("90.0", -5.0),
        "ECE": ("3.0", -1.0),
    }


def test_dense_networks_have_no_colour():
    assert {z for _, z in cells(make_record(), "Dense network").values()} == {0.0}
    assert {z for _, z in cells(make_full_record(), "Dense, of<br>SuperTickets").values()} == {0.0}


def test_a_ticket_of_another_network_is_compared_with_its_own_parent():
    assert cells(make_full_record(), "SuperTickets")["clean"] == ("97.8", pytest.approx(-0.3))


def test_the_scale_ends_at_ten_points_so_that_a_ruin_does_not_pale_the_others():
    (heat,) = draw_robustness_heatmap(make_full_record()).data
    assert (heat.zmin, heat.zmax) == (-10.0, 10.0)
    level = [row | {"method": "ltr"} for row in make_record()["rows"] if row["method"] == "dense"]
    same = [row for row in make_record()["rows"] if row["method"] == "dense"] + level
    (heat,) = draw_robustness_heatmap(make_record(rows=same)).data
    assert (heat.zmin, heat.zmax) == (-1.0, 1.0)


def test_hovering_tells_interval_images_difference_and_which_corruption_is_worst():
    (heat,) = draw_robustness_heatmap(make_record()).data
    robust, worst, error = (heat.hovertext[1][place] for place in (1, 3, 5))
    assert robust == (
        "<b>LTR</b>, Linf eps 8/255: 10.0%<br>95% interval 5.7 to 14.3%<br>200 images<br>"
        "10.0 points worse than its dense parent"
    )
    assert "<br>gaussian noise<br>" in worst
    assert worst.endswith("2.0 points better than its dense parent")
    assert error.endswith("1.0 points worse than its dense parent")
    assert "dense parent" not in heat.hovertext[0][0]


def test_the_clean_accuracy_is_that_on_the_most_images():
    rows = make_rows(
        "dense",
        make_row("adversarial", "Linf", "clean_accuracy", 0.5, n=10),
        make_row("calibration", "as trained", "accuracy", 0.75, n=1000),
        make_row("corruption", "clean", "accuracy", None, n=5000),
    )
    record = {"networks": [name_network("dense")], "rows": rows}
    assert cells(record, "Dense network") == {"clean": ("75.0", 0.0)}


def test_families_that_were_left_out_have_no_column_and_missing_numbers_are_dashes():
    rows = [row for row in make_record()["rows"] if row["family"] in ("adversarial", "calibration")]
    rows = [row for row in rows if (row["method"], row["metric"]) != ("ltr", "ece")]
    rows += make_rows("ltr", make_row("calibration", "as trained", "ece", float("nan")))
    found = cells(make_record(rows=rows), "LTR")
    assert list(found) == ["clean", "Linf eps 8/255", "ECE"]
    assert found["ECE"] == ("–", 0.0)


def test_the_figure_is_small_plain_json_and_names_are_escaped():
    rows = make_rows("<img src=x>", make_row("out_of_distribution", "<i>x msp", "auroc", 0.5))
    text = draw_robustness_heatmap({"networks": [name_network("<img src=x>")], "rows": rows}).to_json()
    plain = text.replace("\\u003c", "<")
    assert "<img" not in plain
    assert "<i>" not in plain
    assert "bdata" not in text
    assert len(draw_robustness_heatmap(make_full_record()).to_json()) < 30_000
    assert json.loads(text)["layout"]["title"]["text"]


@pytest.mark.parametrize("record", [{}, make_record(rows=[]), make_record(networks=[])])
def test_without_a_number_the_figure_says_so(record):
    figure = draw_robustness_heatmap(record)
    assert len(figure.data) == 0
    assert figure.layout.annotations[0].text == "Nothing has been measured."
