import json

import pytest

from lottery_pipeline.reporting.figures import draw_sanity_checks
from lottery_pipeline.reporting.palette import LOOKS


def make_line(method="cts", check="shuffle", **changes):
    values = {"seeds": 3, "difference": -0.05, "low": -0.07, "high": -0.03, "verdict": "passes", "note": ""}
    return {"method": method, "check": check, **values, **changes}


def make_rows(method="cts", check="shuffle", differences=(-0.04, -0.05, -0.06)):
    return [
        {
            "method": method,
            "check": check,
            "seed": seed,
            "kept": 38,
            "prunable": 194,
            "original_accuracy": 0.9,
            "changed_accuracy": 0.9 + difference,
            "difference": difference,
            "changed": 70,
        }
        for seed, difference in enumerate(differences)
    ]


SUMMARY = [
    make_line(),
    make_line(check="inversion", difference=-0.6, low=-0.62, high=-0.58),
    make_line("snip", difference=0.0, low=-0.002, high=0.002, verdict="fails"),
]
ROWS = [*make_rows(), *make_rows("snip", differences=(0.0, 0.001, -0.001))]


def trace(figure, name):
    return next(item for item in figure.data if item.name == name)


def test_means_are_in_points_with_their_intervals():
    means = trace(draw_sanity_checks(SUMMARY, ROWS), "CTS")
    assert list(means.x) == [-5.0, -60.0]
    assert list(means.y) == ["CTS: shuffled mask", "CTS: lowest scores kept"]
    assert list(means.error_x.array) == [2.0, 2.0]
    assert (means.marker.symbol, means.marker.color) == (LOOKS["cts"].symbol, LOOKS["cts"].colour)
    assert "passes" in means.text[0]
    assert "95% interval −7.00 to −3.00" in means.text[0]


def test_every_seed_is_an_upright_stroke():
    figure = draw_sanity_checks(SUMMARY, ROWS)
    seeds = trace(figure, "CTS, one seed")
    assert list(seeds.x) == [-4.0, -5.0, -6.0]
    assert seeds.marker.symbol == "line-ns"
    assert seeds.marker.size > trace(figure, "CTS").marker.size, "seen where a mean lies on it"
    assert "seed 1" in seeds.text[1]
    assert "38 of D = 194 weights<br>70 places changed" in seeds.text[1]


def test_there_is_a_line_at_no_change_over_all_lines():
    line = trace(draw_sanity_checks(SUMMARY, ROWS), "No change")
    assert list(line.x) == [0, 0, 0]
    assert list(line.y) == ["CTS: shuffled mask", "CTS: lowest scores kept", "SNIP: shuffled mask"]


def test_the_lines_keep_their_order_from_the_top():
    axis = draw_sanity_checks(SUMMARY[::-1], ROWS).layout.yaxis
    assert list(axis.categoryarray) == [
        "SNIP: shuffled mask",
        "CTS: lowest scores kept",
        "CTS: shuffled mask",
    ]
    assert axis.autorange == "reversed"


def test_the_mean_and_the_verdict_stand_on_the_right():
    notes = [note.text for note in draw_sanity_checks(SUMMARY, ROWS).layout.annotations]
    assert notes == ["−5.0, passes", "−60.0, passes", "◀", "±0.0, fails"]


def test_a_mean_far_below_does_not_squeeze_the_others():
    low, high = draw_sanity_checks(SUMMARY, ROWS).layout.xaxis.range
    assert -22 < low < -20
    assert 1 < high < 3


@pytest.mark.parametrize("differences", [(-0.1, 0.03), (0.0, 0.0)])
def test_the_axis_spans_all_that_is_not_far_below(differences):
    rows = make_rows(differences=differences)
    line = make_line(seeds=1, difference=rows[0]["difference"], low=None, high=None, verdict="undecided")
    low, high = draw_sanity_checks([line], rows).layout.xaxis.range
    assert low < 100 * min(differences)
    assert high > 100 * max(differences)


def test_one_seed_has_no_bar_and_a_note_is_in_the_hover():
    line = make_line(seeds=1, low=None, high=None, verdict="undecided", note="<same>")
    means = trace(draw_sanity_checks([line], ROWS), "CTS")
    assert list(means.error_x.array) == [None]
    assert "1 seed<br>&lt;same&gt;" in means.text[0]


def test_the_figure_is_small_plain_json_and_grows_with_its_lines():
    figure = draw_sanity_checks(SUMMARY, ROWS)
    text = figure.to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert json.loads(text)["layout"]["title"]["text"]
    many = [make_line(check=f"check {number}") for number in range(20)]
    assert draw_sanity_checks(many, []).layout.height > figure.layout.height


def test_names_are_escaped():
    line = make_line(method="<img src=x>", check="<img src=y>")
    text = draw_sanity_checks([line], make_rows("<img src=x>", "<img src=y>")).to_json()
    assert "<img" not in text.replace("\\u003c", "<")


def test_without_a_check_the_figure_says_so():
    figure = draw_sanity_checks([], [])
    assert len(figure.data) == 0
    assert [note.text for note in figure.layout.annotations] == ["No sanity check has been run."]
