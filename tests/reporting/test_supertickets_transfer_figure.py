import json

import pytest

from lottery_pipeline.evaluation.study_summaries import summarise_transfer
from lottery_pipeline.reporting.figures import draw_transfers
from tests.reporting.study_rows import MOVES, make_move

SUMMARY = summarise_transfer(MOVES)


def test_a_cell_is_coloured_by_how_far_the_moved_ticket_is_ahead():
    figure = draw_transfers(SUMMARY)
    (cells,) = figure.data
    assert list(cells.x) == list(cells.y) == ["segmentation", "keypoints"]
    assert [list(row) for row in cells.z] == [pytest.approx([0.0, 6.0]), pytest.approx([6.0, 0.0])]
    assert (cells.zmin, cells.zmax) == pytest.approx((-6.0, 6.0))
    assert cells.colorbar.title.text == "points ahead of<br>new weights, same masks"


def test_a_cell_says_how_well_it_does_and_the_diagonal_what_was_found_for_the_target():
    (cells,) = draw_transfers(SUMMARY).data
    assert cells.text[0][1] == "<b>51.0% PCK</b><br>+6.0 points<br>(−6.7 to +18.7)"
    assert cells.text[0][0] == "60.0% mIoU<br>found for the target"
    assert cells.hovertext[1][0].startswith(
        "<b>keypoints → segmentation</b><br>moved ticket: 51.0% mIoU ± 12.7%"
    )
    assert "found for the target: 60.0% mIoU" in cells.hovertext[1][0]


def test_small_differences_stay_pale():
    rows = [
        make_move("segmentation", "keypoints", "transferred", 0, 0.5),
        make_move("segmentation", "keypoints", "dense", 0, 0.499),
    ]
    (cells,) = draw_transfers(summarise_transfer(rows)).data
    assert (cells.zmin, cells.zmax) == (-1.0, 1.0)
    assert cells.colorbar.title.text == "points ahead of<br>new weights, no masks"


def test_without_controls_there_is_no_scale():
    rows = [make_move("segmentation", "keypoints", "transferred", 0, 0.5)]
    (cells,) = draw_transfers(summarise_transfer(rows)).data
    assert cells.showscale is False
    assert [list(row) for row in cells.text] == [["", "<b>50.0% PCK</b>"], ["", ""]]


def test_the_figure_is_small_plain_json_and_names_are_escaped():
    hostile = [line | {"metric": "<img src=x>"} for line in SUMMARY]
    text = draw_transfers(hostile).to_json()
    assert len(text) < 20_000
    assert "bdata" not in text
    assert "<img" not in text.replace("\\u003c", "<")
    assert json.loads(text)["layout"]["title"]["text"]


def test_without_a_moved_ticket_the_figure_says_so():
    assert draw_transfers([]).layout.annotations[0].text == "No ticket has been moved."
