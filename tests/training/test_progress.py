import io
import logging

import pytest

from lottery_pipeline.training import progress as module
from lottery_pipeline.training.progress import Progress, describe_row

ROW = {"train_loss": 0.25, "validation_accuracy": 0.91, "images_per_second": 1234.5}


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_ten_seconds_with_the_time_left(clock, caplog):
    with caplog.at_level(logging.INFO):
        progress = Progress("dense", total=100, done=20, steps_per_epoch=10)
        progress.report(describe_row(ROW))
        for seconds in range(1, 21):
            clock[0] = seconds
            progress.advance(2)
        lines = [record.message for record in caplog.records]

    assert lines == [
        "dense: 4 of 10 epochs, loss 0.25, validation accuracy 91.00 %, 1,234 images/s, about 0:00:30 left.",
        "dense: 6 of 10 epochs, loss 0.25, validation accuracy 91.00 %, 1,234 images/s, about 0:00:20 left.",
    ]


def test_a_long_training_counts_its_epochs_in_full(clock, caplog):
    with caplog.at_level(logging.INFO):
        progress = Progress("dense", total=15_000, done=14_368, steps_per_epoch=10)
        clock[0] = 10.0
        progress.advance(4)
    assert caplog.messages == ["dense: 1,437 of 1,500 epochs, about 0:26:10 left."]


def test_a_log_gets_a_last_line_when_the_training_has_ended(clock, caplog):
    with caplog.at_level(logging.INFO):
        progress = Progress("", total=10, done=0, steps_per_epoch=10)
        clock[0] = 3700.0
        progress._told = 3700.0
        progress.advance(10)
        progress.report(describe_row({**ROW, "validation_accuracy": None}))
        progress.close()

    assert caplog.messages == ["training: 1 of 1 epochs, loss 0.25, 1,234 images/s, finished in 1:01:40."]


def test_an_interrupted_training_does_not_say_that_it_has_finished(clock, caplog):
    with caplog.at_level(logging.INFO):
        progress = Progress("dense", total=10, done=0, steps_per_epoch=10)
        progress.advance(3)
        progress.close()

    assert caplog.messages == []


def test_a_terminal_gets_a_bar(monkeypatch, caplog):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(module.sys, "stderr", screen)

    progress = Progress("ltr.round_03", total=10, done=4, steps_per_epoch=5)
    progress.report(describe_row(ROW))
    progress.advance(5)
    progress._bar.refresh()
    progress.close()

    shown = screen.getvalue()
    assert "ltr.round_03" in shown
    assert "9/10" in shown
    assert "loss 0.25" in shown
    assert caplog.messages == []
