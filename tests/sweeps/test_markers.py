import logging
from pathlib import Path

import pytest

from lottery_pipeline.sweeps.markers import MARKER, read_marker, write_marker


def test_a_marker_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_marker(tmp_path, {"fingerprint": "f", "state": "done"})
    assert read_marker(tmp_path, "f") == {"format": 1, "fingerprint": "f", "state": "done"}


def test_a_marker_of_other_parameters_counts_as_nothing(tmp_path: Path) -> None:
    write_marker(tmp_path, {"fingerprint": "f", "state": "done"})
    assert read_marker(tmp_path, "g") is None
    assert read_marker(tmp_path / "other", "f") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'"done"'])
def test_a_damaged_marker_counts_as_nothing_and_is_named(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / MARKER).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_marker(tmp_path, "f") is None
    assert str(tmp_path / MARKER) in caplog.text
