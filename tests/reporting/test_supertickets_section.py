"""The section on SuperTickets compared: tables beside the figures, on the page only if there are rows."""

from lottery_pipeline.evaluation.study_summaries import summarise_arms, summarise_transfer
from lottery_pipeline.reporting.figures import draw_arms, draw_transfers
from lottery_pipeline.reporting.supertickets_section import describe_arms, describe_transfers
from tests.reporting.rendering import Page, render
from tests.reporting.study_rows import ARM_ROWS, MOVES, make_arm


def test_every_line_of_the_summary_is_a_row_with_a_label_and_every_arm_has_its_sentence():
    described = describe_arms(summarise_arms(ARM_ROWS))
    assert [(row["label"], row["state"]) for row in described["rows"]] == [
        ("Supernet", "found"),
        ("Search, then prune", "found"),
        ("Search, then prune", "retrained"),
        ("Two-in-one", "found"),
        ("Two-in-one", "retrained"),
    ]
    assert (described["seeds"], described["metric"]) == (3, "accuracy")
    assert described["arms"][0] == ("Supernet", "The whole supernet, trained; nothing is removed.")


def test_every_pair_of_tasks_has_a_table():
    described = describe_transfers(summarise_transfer(MOVES))
    assert [pair["title"] for pair in described["pairs"]] == [
        "segmentation itself",
        "segmentation to keypoints",
        "keypoints to segmentation",
        "keypoints itself",
    ]
    assert [row["label"] for row in described["pairs"][1]["rows"]] == [
        "moved ticket",
        "new weights, same masks",
        "found for the target",
    ]
    assert described["pairs"][1]["metric"] == "PCK"


def test_nothing_has_no_section():
    assert describe_arms([]) is None
    assert describe_transfers([]) is None
    assert "Parts of the joint search" not in render()
    assert "SuperTickets at other tasks" not in render()


def test_the_page_shows_tables_and_figures():
    arms, transfers = summarise_arms(ARM_ROWS), summarise_transfer(MOVES)
    figures = {
        "supertickets_study": draw_arms(arms, ARM_ROWS),
        "supertickets_transfer": draw_transfers(transfers),
    }
    text = render(arms=describe_arms(arms), transfers=describe_transfers(transfers), figures=figures)
    page = Page(text)
    assert text.count('data-for="supertickets_study"') == text.count('data-for="supertickets_transfer"') == 1
    for words in ("Parts of the joint search", "Segmentation to keypoints", "moved ticket", "Test mIoU"):
        assert words in page.text
    assert "97.0%" in page.text
    assert "93.5% to 98.5%" in page.text
    assert "−2.0" in page.text


def test_one_seed_has_dashes_for_intervals():
    rows = [make_arm("two_in_one", 0, 0.4, 0.5)]
    page = Page(render(arms=describe_arms(summarise_arms(rows)), figures={}))
    assert "(1 seed)" in page.text
    assert "None" not in page.text
