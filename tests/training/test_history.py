import pytest
import torch

from lottery_pipeline.training.history import Interval, early_stop_step

CPU = torch.device("cpu")


def fill(interval: Interval, steps: range) -> None:
    for step in steps:
        size = 4 if step < 4 else 2
        logits = torch.eye(3)[torch.arange(size) % 3]
        labels = torch.zeros(size, dtype=torch.int64)
        interval.add(torch.tensor(0.1 + step), logits, labels)


def test_a_smaller_batch_counts_for_less():
    interval = Interval(CPU)
    fill(interval, range(5))

    summary = interval.summary()

    assert summary["images"] == 18
    assert summary["train_loss"] == pytest.approx((4 * (0.1 + 1.1 + 2.1 + 3.1) + 2 * 4.1) / 18)
    assert summary["train_accuracy"] == (4 * 2 + 1) / 18


def test_summed_losses_are_divided_by_the_images():
    interval = Interval(CPU, "sum")
    interval.add(torch.tensor(6.0), torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))
    interval.add(torch.tensor(3.0), torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))

    assert interval.summary()["train_loss"] == 1.5


@pytest.mark.parametrize("cut", range(6))
def test_an_interrupted_interval_gives_the_same_numbers_bit_for_bit(cut):
    whole, first, second = Interval(CPU), Interval(CPU), Interval(CPU)
    fill(whole, range(5))
    fill(first, range(cut))
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()}, seconds=1.5)
    fill(second, range(cut, 5))

    assert second.summary() == whole.summary()
    assert second.seconds == 1.5


def test_more_steps_than_are_held_at_once_are_all_counted():
    interval = Interval(CPU)
    fill(interval, range(200))

    assert len(interval.losses()) == 200
    assert interval.summary()["images"] == 4 * 4 + 196 * 2


def test_after_a_restart_nothing_is_left():
    interval = Interval(CPU)
    fill(interval, range(3))
    interval.restart()
    fill(interval, range(1))

    assert interval.summary()["images"] == 4


def row(step: int, loss: float | None) -> dict:
    return {"step": step, "validation_loss": loss}


def test_the_early_stop_is_the_first_least_validation_loss():
    assert early_stop_step([row(10, 0.5), row(20, 0.3), row(30, 0.3), row(40, 0.4)]) == 20


def test_without_validation_images_the_early_stop_is_the_end():
    assert early_stop_step([row(10, None), row(20, None)]) == 20
