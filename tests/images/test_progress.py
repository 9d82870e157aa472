import io
import logging
import sys

from lottery_pipeline.images import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress.report_progress(iter([3, 4]), total=7, label="decoding images")
    assert "decoding images: 100%" in terminal.getvalue()


def test_a_log_gets_lines_but_not_one_for_each_step(caplog):
    with caplog.at_level(logging.INFO):
        progress.report_progress(iter([1] * 1000), total=1000, label="decoding images")
    assert caplog.records == []


def test_everything_is_drawn_to_its_end():
    steps = iter([1, 2, 3])
    progress.report_progress(steps, total=6, label="decoding images")
    assert list(steps) == []
