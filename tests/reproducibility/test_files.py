import os

import pytest

from lottery_pipeline.reproducibility.files import replace_atomically, write_atomically


def test_a_file_is_written_whole_and_its_folder_made(tmp_path):
    write_atomically(tmp_path / "new" / "a.bin", b"12")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"12"


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")

    def fail_half_way():
        with replace_atomically(path) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError, match="power"):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_readers_see_the_old_file_until_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    with replace_atomically(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a.bin", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o640
