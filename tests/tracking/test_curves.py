"""The rows of a run as points of curves."""

import pytest

from lottery_pipeline.tracking.curves import Curves


def epoch(number: float, loss: float, *, step: int | None = None) -> dict[str, object]:
    return {"epoch": number, "step": int(10 * number) if step is None else step, "train_loss": loss}


def test_a_training_is_drawn_over_epochs_and_a_row_that_comes_again_is_skipped() -> None:
    curves = Curves()
    assert curves.place("training", epoch(1, 0.5)) == [("training/train_loss", 0.5, 1)]
    assert curves.place("training", epoch(1, 0.5)) == []
    assert curves.place("training", epoch(2, 0.25)) == [("training/train_loss", 0.25, 2)]


def test_a_training_with_rows_between_epochs_is_drawn_over_steps() -> None:
    curves = Curves()
    points = [curves.place("dense", epoch(number, 1.0))[0] for number in (0.5, 1, 1.5)]
    assert points == [("dense/train_loss", 1.0, step) for step in (5, 10, 15)]


@pytest.mark.parametrize("part", ["round_{}", "fine_tuning_{}", "shuffle_seed_{}"])
def test_the_rounds_of_a_search_are_one_curve_over_a_running_number(part: str) -> None:
    curves = Curves()
    points = [
        curves.place(part.format(number), epoch(count, number + count / 10))[0]
        for number in (1, 2)
        for count in (1, 2)
    ]
    assert points == [("search/train_loss", loss, step) for step, loss in enumerate((1.1, 1.2, 2.1, 2.2), 1)]


def test_a_resumed_search_goes_on_counting_behind_the_rows_that_it_replays() -> None:
    curves = Curves()
    for part in ("round_01", "round_01", "round_02"):
        points = curves.place(part, epoch(1, 0.5))
    assert points == [("search/train_loss", 0.5, 2)]


def test_a_ladder_is_drawn_over_its_rungs() -> None:
    row = {"rung": 3, "density": 0.5, "test_accuracy": 0.8, "epochs": 11, "prunable": 9, "seconds": 4.0}
    assert Curves().place("ladder", row) == [("ladder/density", 0.5, 3), ("ladder/test_accuracy", 0.8, 3)]


def test_a_control_is_a_curve_of_its_name_and_its_trainings_are_counted_by_themselves() -> None:
    curves = Curves()
    result = {"control": "random_mask", "rung": 3, "test_accuracy": 0.7, "density": 0.5}
    assert curves.place("control_random_mask_03", epoch(1, 0.5)) == [("controls/train_loss", 0.5, 1)]
    assert curves.place("controls", result) == [("controls/random_mask", 0.7, 3)]
    assert curves.place("controls", {**result, "control": "reinitialise"}) == [
        ("controls/reinitialise", 0.7, 3)
    ]
    assert curves.place("control_reinitialise_03", epoch(1, 0.5)) == [("controls/train_loss", 0.5, 2)]


def test_clocks_text_and_what_is_no_number_are_not_drawn() -> None:
    row = {"seconds": 1.0, "images_per_second": 9.0, "note": "text", "validation_loss": None, "on": True}
    assert Curves().place("training", {**epoch(1, float("nan")), **row}) == []
