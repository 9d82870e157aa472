import os
import pickle
from pathlib import Path

import pytest

from lottery_pipeline.images.pixel_file import PixelFile
from lottery_pipeline.images.request import ImageError


def read(file: PixelFile, offset: int, count: int) -> bytes:
    target = bytearray(count)
    file.read_into(memoryview(target), offset)
    return bytes(target)


def count_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def path(tmp_path):
    (tmp_path / "pixels").write_bytes(b"0123456789")
    return tmp_path / "pixels"


def test_bytes_are_read_from_any_place(path):
    file = PixelFile(path)
    assert (file.size, read(file, 3, 4), read(file, 10, 0)) == (10, b"3456", b"")


def test_a_short_read_is_continued(path, monkeypatch):
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, targets, offset: whole(file, [targets[0][:3]], offset))
    assert read(PixelFile(path), 1, 8) == b"12345678"


def test_a_file_that_is_cut_off_while_it_is_read_is_one_sentence(path):
    file = PixelFile(path)
    os.truncate(path, 5)
    with pytest.raises(ImageError, match=r"pixels was cut off while it was in use: prepare the images again"):
        read(file, 3, 4)


def test_a_fault_of_the_disk_is_one_sentence(path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    file = PixelFile(path)
    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(ImageError, match=r"pixels cannot be read: Input/output error"):
        read(file, 0, 1)


def test_a_file_that_is_written_to_is_noticed_and_one_that_replaces_it_is_not_read(path, tmp_path):
    file = PixelFile(path)
    (tmp_path / "new").write_bytes(b"x" * 20)
    (tmp_path / "new").replace(path)
    file.check_unchanged()
    assert read(file, 0, 2) == b"01"

    file = PixelFile(path)
    os.utime(path, ns=(0, 0))
    with pytest.raises(ImageError, match=r"pixels was changed while it was in use"):
        file.check_unchanged()


def test_a_copy_in_another_process_refuses_a_file_that_is_another_or_gone(path):
    sent = pickle.dumps(PixelFile(path))
    assert read(pickle.loads(sent), 8, 2) == b"89"
    path.write_bytes(b"another")
    with pytest.raises(ImageError, match="was changed while it was in use"):
        pickle.loads(sent)
    path.unlink()
    with pytest.raises(ImageError, match="cannot be opened again"):
        pickle.loads(sent)


def test_only_regular_files_are_opened(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        PixelFile(tmp_path)


def test_the_file_is_closed_with_the_last_that_reads_it(path):
    before = count_open_files()
    file = PixelFile(path)
    assert count_open_files() == before + 1
    del file
    assert count_open_files() == before
