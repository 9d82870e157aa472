import math

import pytest

from lottery_pipeline.reporting.history_figure import MOST_POINTS, draw_history

HISTORY = [
    {
        "epoch": 2,
        "step": 20,
        "train_loss": 0.5,
        "train_accuracy": 0.5,
        "validation_loss": None,
        "validation_accuracy": None,
        "learning_rate": 0.1,
        "seconds": 1.5,
        "ticket": "a",
    },
    {
        "epoch": 4,
        "step": 40,
        "train_loss": math.nan,
        "train_accuracy": 0.75,
        "validation_loss": 0.25,
        "validation_accuracy": 1.0,
        "learning_rate": 0.0,
        "seconds": 1.25,
        "ticket": "a",
    },
]


def curves(rows):
    return [(curve.name, curve.yaxis, curve.x, curve.y) for curve in draw_history(rows).data]


def test_training_and_validation_share_a_panel_of_each_quantity():
    assert curves(HISTORY) == [
        ("train", "y", (2, 4), (0.5, None)),
        ("validation", "y", (2, 4), (None, 0.25)),
        ("train", "y2", (2, 4), (0.5, 0.75)),
        ("validation", "y2", (2, 4), (None, 1.0)),
    ]
    layout = draw_history(HISTORY).layout
    assert (layout.yaxis.title.text, layout.yaxis2.title.text) == ("loss", "accuracy")
    assert layout.xaxis2.title.text == "epoch"


def test_the_legend_names_training_and_validation_once():
    shown = [(curve.name, curve.showlegend) for curve in draw_history(HISTORY).data]
    assert shown == [("train", True), ("validation", True), ("train", False), ("validation", False)]


@pytest.mark.parametrize(
    ("rows", "moment", "places"),
    [
        ([{"epoch": 1, "step": 7, "kept": 9}, {"epoch": 1, "step": 8, "kept": 4}], "step", (7, 8)),
        ([{"round": 1, "kept": 9}, {"round": 2, "kept": 4}], "round", (1, 2)),
        ([{"round": 1, "epoch": 3, "kept": 9}, {"round": 2, "epoch": 3, "kept": 4}], "round", (1, 2)),
        ([{"round": 1, "epoch": 3, "kept": 9}, {"round": 1, "epoch": 2, "kept": 4}], "row", (1, 2)),
        ([{"step": None, "kept": 9}, {"step": 2, "kept": 4}], "row", (1, 2)),
    ],
)
def test_curves_run_over_what_rises(rows, moment, places):
    assert curves(rows) == [("kept", "y", places, (9, 4))]
    assert draw_history(rows).layout.xaxis.title.text == moment


def test_a_single_row_and_rows_that_differ_in_a_text_become_a_table():
    [table] = draw_history([{"round": 1, "kept": 4870}]).data
    assert (table.type, table.header.values) == ("table", ("round", "kept"))
    assert list(table.cells.values) == [["1"], ["4870"]]
    rows = [{"layer": "<a>", "score": 0.123456, "removed": True}, {"layer": "b", "score": 2.0}]
    [table] = draw_history(rows).data
    assert list(table.cells.values) == [["&lt;a&gt;", "b"], ["0.1235", "2"], ["True", ""]]


def test_rows_without_numbers_are_no_curves():
    assert [trace.type for trace in draw_history([{"epoch": 1}, {"epoch": 2}]).data] == ["table"]
    assert [trace.type for trace in draw_history([]).data] == ["table"]


def test_long_traces_are_thinned_and_keep_their_last_row():
    rows = [{"step": step, "objective": step} for step in range(1, 2 * MOST_POINTS + 2)]
    [(_, _, places, heights)] = curves(rows)
    assert len(places) <= MOST_POINTS
    assert places[-1] == heights[-1] == 2 * MOST_POINTS + 1
