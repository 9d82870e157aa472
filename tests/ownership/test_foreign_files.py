import hashlib
import os
from pathlib import Path

import pytest

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.foreign_files import hash_file, read_file


def test_a_file_may_be_as_large_as_allowed_and_not_larger(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")

    assert read_file(tmp_path / "file", most=3) == b"abc"
    with pytest.raises(OwnershipError, match=r"file has more than the 2 bytes allowed$"):
        read_file(tmp_path / "file", most=2)


def test_the_hash_of_abc_is_that_of_the_standard(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example 1

    assert hash_file(tmp_path / "file") == expected


def test_a_file_of_several_chunks_is_hashed_whole(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)

    assert hash_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.timeout(5)
@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "loop"])
def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path, kind):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)

    for read in (lambda: read_file(path, most=10), lambda: hash_file(path)):
        with pytest.raises(OwnershipError, match=kind):
            read()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_a_private_file_that_others_may_use_is_refused(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    path.chmod(mode)

    with pytest.raises(OwnershipError, match=f"run chmod 600 {path}$"):
        read_file(path, most=3, private=True)
    path.chmod(0o600)
    assert read_file(path, most=3, private=True) == b"abc"


def test_no_descriptor_is_left_open(tmp_path):
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OwnershipError):
            read_file(tmp_path, most=1)
    assert len(list(Path("/dev/fd").iterdir())) == before
