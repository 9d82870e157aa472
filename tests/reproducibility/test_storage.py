"""Faults of disks: one sentence with the path and what to do, and nothing that was there is harmed."""

import errno
import logging
import subprocess
import sys

import pytest

from lottery_pipeline.reproducibility.files import replace_atomically, write_atomically
from lottery_pipeline.reproducibility.storage import StorageError, faults_explained, set_aside

LIMITED = """
import resource, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from lottery_pipeline.reproducibility.files import replace_atomically, write_atomically
from lottery_pipeline.reproducibility.storage import StorageError
path, kind = Path(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    if kind == "bytes":
        write_atomically(path, bytes(5000))
    else:
        with replace_atomically(path) as temporary:
            save_file({"w": torch.zeros(5000)}, temporary)
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["bytes", "tensors"])
def test_a_disk_that_takes_no_more_leaves_the_old_file_and_says_what_to_do(kind, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), kind], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith(f"{path} cannot be written: the file would be larger than this system")
    assert done.stdout.endswith("Then give the same command again: it resumes.\n")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; free some space. Then"),
        (errno.EROFS, "the file system is read-only; make it writable, or choose another folder with"),
        (errno.EACCES, "permission is missing; change it, or choose another folder with"),
    ],
)
def test_every_fault_has_its_remedy(number, words):
    with (
        pytest.raises(StorageError, match=f"^/data/file cannot be written: {words}"),
        faults_explained("/data/file"),
    ):
        raise OSError(number, "as the system words it")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "data").write_text("a file")

    with pytest.raises(StorageError, match="one of its parent folders is a file; move that away"):
        write_atomically(tmp_path / "data" / "sub" / "file", b"new")


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), replace_atomically(tmp_path / "file"):
        (tmp_path / "missing").read_bytes()
    with pytest.raises(ZeroDivisionError), replace_atomically(tmp_path / "file"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_kept_under_names_of_their_own(tmp_path, caplog):
    path = tmp_path / "images.safetensors"
    for content in (b"first", b"second"):
        path.write_bytes(content)
        with caplog.at_level(logging.WARNING):
            set_aside(path, "its sum is wrong")

    assert (tmp_path / "images.safetensors.damaged").read_bytes() == b"first"
    assert (tmp_path / "images.safetensors.damaged2").read_bytes() == b"second"
    assert not path.exists()
    assert f"{path} is damaged (its sum is wrong). It is kept as images.safetensors.damaged2" in caplog.text
