import errno
import json
import logging
import os
import socket
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file

from lottery_pipeline.reproducibility.checkpoints import Checkpoints

A, B, C, D = (letter * 64 for letter in "abcd")


def make(tmp_path, **options) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", **options)


def test_what_is_saved_is_loaded(tmp_path):
    checkpoints = make(tmp_path)
    tensors = {"w": torch.randn(3, 4), "n": torch.tensor(7), "mask": torch.tensor([True, False])}

    path = checkpoints.save(A, tensors, {"step": 3, "history": [{"loss": 0.1}]})
    loaded, record = make(tmp_path).load(A)

    assert path.exists()
    assert record == {"step": 3, "history": [{"loss": 0.1}]}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_where_nothing_was_saved_there_is_nothing(tmp_path):
    assert make(tmp_path).load(A) is None


def test_tensors_that_share_memory_or_are_strided_are_saved_whole(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    tensors = {"base": base, "tied": base, "row": base[1], "turned": base.t()}

    make(tmp_path).save(A, tensors, {})
    loaded, _ = make(tmp_path).load(A)

    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("damage", ["truncated", "empty", "noise", "foreign", "no header", "flipped", "old"])
def test_an_unusable_file_is_reported_and_passed_over(tmp_path, damage, caplog):
    checkpoints = make(tmp_path)
    path = checkpoints.save(A, {"w": torch.ones(100)}, {"step": 1})
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "noise":
        path.write_bytes(os.urandom(500))
    elif damage == "foreign":
        path.rename(checkpoints.path(B))
    elif damage == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 0x80]))
    elif damage == "old":
        text = json.dumps({"fingerprint": A, "record": {"step": 1}})
        save_file({"w": torch.ones(100)}, path, metadata={"checkpoint": text})
    else:
        save_file({"w": torch.ones(1)}, path)

    with caplog.at_level(logging.WARNING):
        assert checkpoints.load(B if damage == "foreign" else A) is None

    assert "is damaged" in caplog.text
    kept = path.with_name(f"{checkpoints.path(B if damage == 'foreign' else A).name}.damaged")
    assert kept.exists()
    assert not kept.with_name(kept.name.removesuffix(".damaged")).exists()


def test_a_checkpoint_that_cannot_be_read_now_is_left_where_it_is(tmp_path, caplog, monkeypatch):
    checkpoints = make(tmp_path)
    path = checkpoints.save(A, {"w": torch.ones(3)}, {"step": 1})

    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("lottery_pipeline.reproducibility.checkpoints.stat_regular", fail)
        assert checkpoints.load(A) is None

    assert "cannot be read ([Errno 5] Input/output error); starting over" in caplog.text
    assert path.exists()
    assert checkpoints.load(A) is not None


def test_what_a_killed_writer_left_is_removed_when_its_computation_returns(tmp_path):
    checkpoints = make(tmp_path)
    path = checkpoints.save(A, {"w": torch.ones(3)}, {"step": 1})
    ours, theirs = (path.with_name(f".{name}.safetensors.xyz.tmp") for name in (A, B))
    ours.write_bytes(b"half")
    theirs.write_bytes(b"half")

    assert checkpoints.load(A)[1] == {"step": 1}

    assert not ours.exists()
    assert theirs.exists()
    hour_ago = time.time() - 3700
    os.utime(theirs, (hour_ago, hour_ago))
    checkpoints.save(A, {}, {})
    assert not theirs.exists()


@pytest.mark.parametrize(("writer", "stays"), [("us", True), ("the dead", False), ("another host", True)])
def test_a_file_that_is_being_written_stays(tmp_path, writer, stays):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    name = {"us": f"{os.getpid()}@{host}", "the dead": f"{dead.pid}@{host}", "another host": "1@no.such"}[
        writer
    ]
    checkpoints = make(tmp_path)
    checkpoints.save(B, {}, {})
    temporary = checkpoints.folder / f".{A}.safetensors.{name}.xyz.tmp"
    temporary.write_bytes(b"half")

    assert checkpoints.load(A) is None

    assert temporary.exists() == stays


USE = """
import sys, time
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
checkpoints.save("a" * 64, {}, {})
print("saved", flush=True)
time.sleep(60)
"""


def test_what_another_process_uses_is_neither_cleared_nor_pushed_out(tmp_path):
    checkpoints = make(tmp_path, limit=1)
    arguments = [sys.executable, "-c", USE, str(checkpoints.folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "saved\n"
        assert checkpoints.load(A) is not None
        checkpoints.save(B, {}, {})
        checkpoints.clear_used()
        assert [path.stem for path in checkpoints.folder.glob("*.safetensors")] == [A]
        other.kill()
    checkpoints.clear(A)
    assert not list(checkpoints.folder.glob("*.safetensors"))


def test_a_failed_save_keeps_the_old_file(tmp_path):
    checkpoints = make(tmp_path)
    checkpoints.save(A, {"w": torch.ones(3)}, {"step": 1})

    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoints.save(A, {"w": torch.zeros(3)}, {"step": float("nan")})

    assert checkpoints.load(A)[1] == {"step": 1}
    assert len(list(checkpoints.folder.iterdir())) == 1


def test_the_number_of_files_is_bounded_and_the_oldest_foreign_ones_go_first(tmp_path):
    old = make(tmp_path)
    for age, name in ((300, A), (200, B)):
        past = time.time() - age
        os.utime(old.save(name, {}, {}), (past, past))
    new = make(tmp_path, limit=3)
    assert new.load(A) is not None  # used by this run, so B goes before A though A is older

    new.save(C, {}, {})
    new.save(D, {}, {})

    left = {path.stem for path in new.folder.glob("*.safetensors")}
    assert left == {A, C, D}


def test_clearing_removes_one_or_all_that_were_used(tmp_path):
    other = make(tmp_path)
    other.save(D, {}, {})
    checkpoints = make(tmp_path)
    for name in (A, B, C):
        checkpoints.save(name, {}, {})

    checkpoints.clear(A)
    checkpoints.clear(A)
    assert not checkpoints.path(A).exists()
    checkpoints.clear_used()

    assert [path.stem for path in checkpoints.folder.iterdir()] == [D]


def test_what_workers_have_saved_is_cleared_by_its_time(tmp_path):
    checkpoints = make(tmp_path)
    checkpoints.save(A, {}, {})
    os.utime(checkpoints.path(A), (1000.0, 1000.0))  # of an interrupted run, before
    make(tmp_path).save(B, {}, {})
    checkpoints.clear_since(1001.0)
    assert [path.stem for path in checkpoints.folder.iterdir()] == [A]


def test_a_save_is_due_after_the_interval(tmp_path):
    assert make(tmp_path, interval_seconds=0).is_due()
    checkpoints = make(tmp_path, interval_seconds=3600)
    assert not checkpoints.is_due()
    checkpoints._saved_at -= 3601
    assert checkpoints.is_due()
    checkpoints.save(A, {}, {})
    assert not checkpoints.is_due()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63])
def test_a_name_that_is_no_fingerprint_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="64 hexadecimal characters"):
        make(tmp_path).path(name)


def test_a_pipe_is_reported_and_not_waited_for(tmp_path, caplog):
    checkpoints = make(tmp_path)
    path = checkpoints.path(A)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    assert checkpoints.load(A) is None
    assert "it is not a regular file" in caplog.text
