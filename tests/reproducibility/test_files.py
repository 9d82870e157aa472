import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lottery_pipeline.reproducibility.files import (
    describe_state,
    replace_atomically,
    stat_regular,
    write_atomically,
)


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


def test_what_killed_processes_left_of_a_file_is_removed_by_the_next_that_writes_it(tmp_path):
    half = """
import os, sys
from lottery_pipeline.reproducibility.files import replace_atomically
with replace_atomically(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    temporary.with_name(".tmpXYZ").write_bytes(b"as safetensors does")
    os.kill(os.getpid(), 9)
"""
    for name in ("a.bin", "b.bin"):
        subprocess.run([sys.executable, "-c", half, str(tmp_path / name)], check=False)
    (tmp_path / ".a.bin.xyz.tmp").write_bytes(b"of an older version")
    with replace_atomically(tmp_path / "a.bin") as ours:
        ours.write_bytes(b"ours")
        write_atomically(tmp_path / "a.bin", b"theirs")
        assert ours.exists()
    assert (tmp_path / "a.bin").read_bytes() == b"ours"
    (other,) = set(tmp_path.iterdir()) - {tmp_path / "a.bin"}
    assert other.name.startswith(".b.bin.")


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


def test_a_regular_file_may_be_opened_and_so_may_a_link_to_one(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"123")
    (tmp_path / "link").symlink_to("a.bin")
    assert stat_regular(tmp_path / "a.bin").st_size == 3
    assert stat_regular(str(tmp_path / "link")).st_size == 3


def test_a_pipe_a_socket_a_folder_and_a_device_may_not_be_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("socket"), Path("/dev/null")):
            with pytest.raises(OSError, match="it is not a regular file") as caught:
                stat_regular(path)
            assert caught.value.strerror == "it is not a regular file"
            assert str(path) in str(caught.value)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        stat_regular(tmp_path / "absent")


def test_the_state_changes_with_a_file_of_equal_size_and_time(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(1, 1))
    before = (tmp_path / "one").stat()
    assert describe_state(before) == describe_state((tmp_path / "one").stat())
    (tmp_path / "two").replace(tmp_path / "one")
    after = (tmp_path / "one").stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert describe_state(after) != describe_state(before)


def test_the_state_changes_when_a_file_is_written_in_place_and_its_time_is_set_back(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    before = path.stat()
    time.sleep(0.02)  # longer than the step of the file system's clock
    path.write_text("new")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert describe_state(path.stat()) != describe_state(before)
