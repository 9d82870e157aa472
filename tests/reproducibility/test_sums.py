"""Sums of files that are read back: edits are found, kills and readers in between are not taken for edits."""

import json
import logging
from pathlib import Path

import pytest

from lottery_pipeline.reproducibility import sums
from lottery_pipeline.reproducibility.sums import (
    ChangedFileError,
    check_sum,
    find_sum,
    remove_with_sum,
    sum_bytes,
    sum_json,
    write_with_sum,
)


def test_a_file_that_was_changed_is_named_with_what_can_be_done(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_with_sum(path, b'{"kept": 3}', sum_json)
    with pytest.raises(ChangedFileError) as caught:
        check_sum(path, b'{"kept": 4}', sum_json)
    assert str(caught.value) == (
        f"{path} was changed after it was written; put the old file back, or run the pipeline that makes it, "
        f"or remove {tmp_path}/.sums/a.json.sha256 if it is meant to be so"
    )


@pytest.mark.parametrize(
    "content", [b"{}", b'{"a": 0.1}', b'{"a": 1, "b": [1]}', b'{"b": [1, 2], "a": 1}', b"", b"[", b"\xff"]
)
def test_every_other_content_is_a_change(content: bytes, tmp_path: Path) -> None:
    write_with_sum(tmp_path / "a.json", b'{"a": 1, "b": [2, 1]}', sum_json)
    with pytest.raises(ChangedFileError):
        check_sum(tmp_path / "a.json", content, sum_json)


def test_json_that_is_only_laid_out_anew_is_not_changed(tmp_path: Path) -> None:
    content, anew = b'{"a": 0.1, "b": "\xc3\xbc"}', json.dumps({"b": "ü", "a": 0.1}, indent=8).encode()
    write_with_sum(tmp_path / "a.json", content, sum_json)
    check_sum(tmp_path / "a.json", anew, sum_json)
    assert sum_json(anew) == sum_json(content) != sum_bytes(content)


def test_of_other_files_every_byte_counts(tmp_path: Path) -> None:
    write_with_sum(tmp_path / "a.csv", b"a\n1\n", sum_bytes)
    check_sum(tmp_path / "a.csv", b"a\n1\n", sum_bytes)
    with pytest.raises(ChangedFileError):
        check_sum(tmp_path / "a.csv", b"a\r\n1\r\n", sum_bytes)


def test_a_kill_between_sum_and_file_is_not_taken_for_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "a.json", sums.write_atomically

    def killed(target: Path, content: bytes) -> None:
        if target == path:
            raise KeyboardInterrupt
        write(target, content)

    write_with_sum(path, b"[1]", sum_json)
    for content in (b"[2]", b"[3]"):
        with monkeypatch.context() as patch:
            patch.setattr(sums, "write_atomically", killed)
            with pytest.raises(KeyboardInterrupt):
                write_with_sum(path, content, sum_json)
        check_sum(path, path.read_bytes(), sum_json)
    write_with_sum(path, b"[4]", sum_json)
    check_sum(path, b"[4]", sum_json)
    with pytest.raises(ChangedFileError):
        check_sum(path, b"[2]", sum_json)


def test_an_edit_does_not_become_right_when_the_next_write_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "a.json", sums.write_atomically
    write_with_sum(path, b"[1]", sum_json)
    path.write_bytes(b"[0]")
    monkeypatch.setattr(sums, "write_atomically", lambda at, text: at == path or write(at, text))
    write_with_sum(path, b"[2]", sum_json)
    with pytest.raises(ChangedFileError):
        check_sum(path, path.read_bytes(), sum_json)


def test_files_without_sums_are_read_with_one_line_for_a_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        check_sum(tmp_path / "a.json", b"[1]", sum_json)
        check_sum(tmp_path / "b.json", b"[2]", sum_json)
    assert [record.getMessage() for record in caplog.records] == [
        f"Files in {tmp_path} are of an older version, without sums of their content; they are read."
    ]


def test_a_file_that_is_removed_leaves_no_sum(tmp_path: Path) -> None:
    write_with_sum(tmp_path / "a.json", b"[1]", sum_json)
    remove_with_sum(tmp_path / "a.json")
    remove_with_sum(tmp_path / "a.json")
    assert not find_sum(tmp_path / "a.json").exists()
