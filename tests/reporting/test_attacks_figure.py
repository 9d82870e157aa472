import itertools
import json
import math

import pytest

from lottery_pipeline.reporting.figures import draw_attacks
from lottery_pipeline.reporting.palette import WARNING_COLOUR, look_of_attack
from tests.reporting.ownership_records import make_try
from tests.reporting.test_palette import contrast

NO_QR = dict.fromkeys(("qr_decoded", "qr_matched", "qr_read", "qr_accuracy"))
ROWS = [
    make_try("A0", "", accuracy=0.972, accuracy_drop=0.0, bits=430.0),
    make_try(parameters="share=0.1", accuracy_drop=0.01, bits=310.0),
    make_try(parameters="share=0.5", accuracy_drop=0.25, bits=20.0, qr_decoded=False, qr_matched=400),
]


def traces(figure, name):
    return [item for item in figure.data if item.name == name]


def test_an_attack_is_a_curve_of_bits_over_the_root_of_the_loss():
    curve, _ = traces(draw_attacks(ROWS), "A5 magnitude pruning")
    assert list(curve.x) == [1.0, 5.0]
    assert list(curve.y) == [310.0, 20.0]
    assert curve.mode == "lines+markers"


def test_the_ticks_of_the_root_say_points():
    axis = draw_attacks(ROWS).layout.xaxis2
    assert dict(zip(axis.ticktext, axis.tickvals, strict=True))["20"] == math.sqrt(20)
    assert axis.range[0] < 0 < 5 < axis.range[1]
    gained = draw_attacks([make_try(accuracy_drop=-0.01, **NO_QR)])
    assert gained.layout.xaxis.ticktext == ("−1", "0", "1")
    assert list(gained.data[1].x) == [-1.0]


def test_tries_of_different_seeds_are_not_joined():
    rows = [make_try(parameters=f"share={share}", seed=seed) for share in (0.1, 0.3) for seed in (0, 1)]
    curve, _ = traces(draw_attacks(rows), "A5 magnitude pruning")
    assert list(curve.x) == [1.0, 1.0, None, 1.0, 1.0]
    assert "seed 0" in curve.text[1]
    assert "seed 1" in curve.text[3]


def test_a_line_stands_at_the_bits_that_are_needed():
    (line,) = traces(draw_attacks(ROWS), "64 bits are needed")
    assert list(line.y) == [64, 64]


def test_every_broken_promise_has_a_ring():
    assert not traces(draw_attacks(ROWS), "Promise broken")
    broken = make_try(accuracy_drop=0.0025, bits=30.0, held=False)
    (ring,) = traces(draw_attacks([*ROWS, broken]), "Promise broken")
    assert (list(ring.x), list(ring.y), ring.marker.color) == ([0.5], [30.0], WARNING_COLOUR)


def test_the_qr_code_stands_below_at_the_same_place_filled_or_crossed():
    figure = draw_attacks(ROWS)
    curve, code = traces(figure, "A5 magnitude pruning")
    assert (code.xaxis, code.yaxis, code.showlegend) == ("x2", "y2", False)
    assert figure.layout.xaxis.matches == "x2"
    assert list(code.x) == list(curve.x)
    assert list(code.y) == [pytest.approx(540 / 551, abs=1e-4), pytest.approx(400 / 551, abs=1e-4)]
    assert list(code.marker.symbol) == ["circle", "x-thin"]
    assert [item.marker.symbol for item in figure.data[-2:]] == ["circle", "x-thin"]
    assert [item.name for item in figure.data[-2:]] == ["QR code decoded", "QR code lost"]


def test_a_qr_code_whose_place_is_gone_is_lost_at_zero():
    row = make_try(qr_decoded=False, qr_matched=None, qr_read=None)
    _, code = traces(draw_attacks([row]), "A5 magnitude pruning")
    assert list(code.y) == [0.0]


def test_without_a_qr_code_there_is_one_panel():
    figure = draw_attacks([make_try(**NO_QR)])
    assert "yaxis2" not in figure.to_plotly_json()["layout"]
    assert not traces(figure, "QR code lost")
    assert figure.layout.height < draw_attacks(ROWS).layout.height
    assert figure.layout.xaxis.title.text == draw_attacks(ROWS).layout.xaxis2.title.text


def test_a_try_without_an_accuracy_has_no_place():
    rows = [*ROWS, make_try("A4", "", accuracy=None, accuracy_drop=None)]
    assert not traces(draw_attacks(rows), "A4 transfer")


def test_the_hover_says_what_is_left():
    curve, code = traces(draw_attacks(ROWS), "A5 magnitude pruning")
    assert curve.text[0] == (
        "<b>A5 magnitude pruning</b>, share=0.1, seed 0<br>accuracy 96.20% (−1.00 points)<br>"
        "310 bits of evidence, 64 are needed; payload decoded<br>121 of 144 groups match<br>"
        "97 of 100 triggers<br>promise kept"
    )
    assert "QR code lost, 73% of its modules as written" in code.text[1]


def test_no_two_attacks_look_alike_and_each_stands_out_on_white_and_on_near_black():
    looks = [look_of_attack(f"A{number}", "") for number in range(32)]
    for first, second in itertools.combinations(looks, 2):
        assert (first.colour, first.symbol) != (second.colour, second.symbol)
    assert min(contrast(look.colour, ground) for look in looks for ground in ("#ffffff", "#14171c")) > 2.8


def test_the_figure_is_small_plain_json():
    text = draw_attacks(ROWS).to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert json.loads(text)["layout"]["title"]["text"]


def test_names_are_escaped():
    row = make_try("<img src=x>", "<img src=y>", name="<img src=z>")
    assert "<img" not in draw_attacks([row]).to_json().replace("\\u003c", "<")


@pytest.mark.parametrize("rows", [[], [make_try(accuracy=None, accuracy_drop=None)]])
def test_without_an_attack_the_figure_says_so(rows):
    figure = draw_attacks(rows)
    assert len(figure.data) == 0
    assert [note.text for note in figure.layout.annotations] == ["No attack has been run."]
