import pytest

from lottery_pipeline.training.robust_gap import measure_robust_gap


def row(train, robust):
    return {"train_accuracy": train, "validation_accuracy": 0.9, "robust_validation_accuracy": robust}


def test_the_gap_is_that_of_the_last_row_and_the_best_may_lie_before_it():
    history = [row(0.3, 0.25), row(0.5, 0.45), row(0.8, 0.375)]

    assert measure_robust_gap(history) == {
        "robust_validation_accuracy": 0.375,
        "robust_generalisation_gap": pytest.approx(0.425),
        "robust_best_minus_last": pytest.approx(0.075),
    }


def test_a_training_that_ends_at_its_best_loses_nothing():
    assert measure_robust_gap([row(0.3, 0.2), row(0.4, 0.5)])["robust_best_minus_last"] == 0.0


@pytest.mark.parametrize(
    "history",
    [[], [{"train_accuracy": 0.5, "validation_accuracy": 0.4}], [row(0.3, float("nan"))], [row(0.3, None)]],
)
def test_without_an_adversary_there_is_nothing_to_say(history):
    assert measure_robust_gap(history) == {}
