import dataclasses
import errno
import json
import logging
import os
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import PARTS, ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.images.splits_file import find_splits, load_splits, save_splits
from tests.images.builders import make_set, make_splits


def assert_equal_splits(first: ImageSplits, second: ImageSplits) -> None:
    for field in dataclasses.fields(ImageSplits):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name in PARTS:
            assert torch.equal(a.images[:], b.images[:])
            assert torch.equal(a.labels, b.labels)
        else:
            assert a == b


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_what_is_saved_is_loaded(tmp_path, storage):
    splits = make_splits(request="r" * 64, source="digits")
    save_splits(splits, tmp_path / "deep" / "images.safetensors")
    loaded = load_splits(tmp_path / "deep" / "images.safetensors", storage)
    assert_equal_splits(loaded, splits)
    assert loaded.train.images[:].is_contiguous()
    assert loaded.storage == storage


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_an_empty_validation_set_survives_the_file(tmp_path, storage):
    empty = make_set([])
    splits = assemble_splits(make_set([0, 1]), empty, make_set([1]), ["a", "b"])
    save_splits(splits, tmp_path / "images.safetensors")
    assert len(load_splits(tmp_path / "images.safetensors", storage).validation) == 0


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_a_missing_file_is_a_missing_file(tmp_path, storage):
    with pytest.raises(FileNotFoundError):
        load_splits(tmp_path / "nowhere.safetensors", storage)


def parts_of(path) -> tuple[dict[str, torch.Tensor], dict]:
    splits = load_splits(path)
    tensors = {
        f"{p}.{k}": getattr(getattr(splits, p), k).clone() for p in PARTS for k in ("images", "labels")
    }
    size = struct.unpack("<Q", path.read_bytes()[:8])[0]
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    return tensors, json.loads(metadata["header"])


@pytest.mark.parametrize("storage", ["memory", "disk"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version"),
        ({"extra": 1}, "extra"),
        ({"mean": [0.5]}, "impossible shape|channels"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean"),
        ({"std": [0.0, 0.1, 0.1]}, "std"),
        ({"class_names": ["cat"]}, "labels must be from 0 to 0"),
        ({"class_names": []}, "class_names"),
        ({"class_names": ["cat", "mouse"]}, "fingerprint"),
        ({"fingerprint": "0" * 64}, "fingerprint"),
        ({"fingerprint": "0"}, "fingerprint"),
        ({"source": "s" * 1000}, "source"),
    ],
)
def test_a_lying_header_is_one_sentence(tmp_path, change, message, storage):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    tensors, header = parts_of(path)
    save_file(tensors, path, metadata={"header": json.dumps(header | {"sha256": None} | change)})
    with pytest.raises(ImageError, match=rf"images\.safetensors is not a valid.*({message})") as caught:
        load_splits(path, storage)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("storage", ["memory", "disk"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train.images": torch.zeros(4, 3, 4, 4)}, "train.images must be U8 with 4"),
        ({"train.images": torch.zeros(4, 48, dtype=torch.uint8)}, "train.images must be U8 with 4"),
        ({"train.images": torch.zeros(4, 3, 0, 4, dtype=torch.uint8)}, "impossible shape"),
        ({"train.images": torch.zeros(0, 3, 4, 4, dtype=torch.uint8)}, "no training images"),
        ({"train.labels": torch.zeros(4)}, "train.labels must be I64"),
        ({"train.labels": torch.zeros(4, 4, dtype=torch.int64)}, "train.labels must be I64 with 1 or 3 dim"),
        ({"train.labels": torch.zeros(4, 5, 5, dtype=torch.int64)}, "labels must be int64 of shape"),
        ({"train.labels": torch.zeros(4, 4, 4, dtype=torch.int64)}, "the validation labels are of classific"),
        ({"train.labels": torch.zeros(3, dtype=torch.int64)}, "labels must be int64 of shape"),
        ({"train.labels": torch.tensor([0, 1, 1, 9])}, "labels must be from 0 to 1"),
        ({"train.labels": torch.tensor([0, 1, 1, -1])}, "labels must be from 0 to 1"),
        ({"train.labels": torch.tensor([1, 0, 0, 1])}, "fingerprint"),
        ({"surplus": torch.zeros(1)}, "exactly the tensors"),
    ],
)
def test_lying_tensors_are_one_sentence(tmp_path, change, message, storage):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    tensors, header = parts_of(path)
    save_file(tensors | change, path, metadata={"header": json.dumps(header)})
    with pytest.raises(ImageError, match=message):
        load_splits(path, storage)


@pytest.mark.parametrize("storage", ["memory", "disk"])
@pytest.mark.parametrize(
    "change", [{"source": "cifar10"}, {"request": "0" * 64}, {"mean": [0.5] * 3}, {"sha256": "0" * 64}]
)
def test_a_header_that_was_changed_is_refused(tmp_path, change, storage):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(source="digits"), path)
    tensors, header = parts_of(path)
    save_file(tensors, path, metadata={"header": json.dumps(header | change)})
    with pytest.raises(ImageError, match="header does not agree with its SHA-256 sum, so it was changed"):
        load_splits(path, storage)


def test_a_header_of_an_older_version_without_a_sum_is_read_with_one_line(tmp_path, caplog):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(source="digits"), path)
    tensors, header = parts_of(path)
    del header["sha256"]
    save_file(tensors, path, metadata={"header": json.dumps(header)})
    with caplog.at_level(logging.INFO):
        assert load_splits(path).source == "digits"
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is of an older version, without a sum of its header; it is read."
    ]


@pytest.mark.parametrize("storage", ["memory", "disk"])
@pytest.mark.parametrize("header", [None, {}, {"header": "no JSON"}, {"header": "[" * 100_000}])
def test_a_missing_or_broken_header_is_refused(tmp_path, header, storage):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    tensors, _ = parts_of(path)
    save_file(tensors, path, metadata=header)
    with pytest.raises(ImageError, match="header"):
        load_splits(path, storage)


@pytest.mark.parametrize("storage", ["memory", "disk"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 not a tensor file",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 64) + b'{"train.images":{"dtype":"U8","shape":[1099511627776],"data_off',
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, storage):
    path = tmp_path / "images.safetensors"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="not a valid file of prepared images"):
        load_splits(path, storage)
    with pytest.raises(ImageError, match="not a valid file of prepared images"):
        load_splits(tmp_path, storage)


@given(
    position=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    truncate=st.booleans(),
    storage=st.sampled_from(["memory", "disk"]),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_or_harmless(tmp_path, position, bit, truncate, storage):
    splits = make_splits(request="r" * 64, source="digits")
    path = tmp_path / "images.safetensors"
    save_splits(splits, path)
    content = bytearray(path.read_bytes())
    place = int(position * len(content))
    content[place] ^= 1 << bit
    path.write_bytes(content[:place] if truncate else content)
    try:
        loaded = load_splits(path, storage)
    except ImageError:
        return
    # Only the name of the source, the request, and blanks may differ: no pixel, label, name or statistic.
    assert loaded.fingerprint == splits.fingerprint
    assert torch.equal(loaded.train.images[:], splits.train.images)


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, storage):
    os.mkfifo(tmp_path / "images.safetensors")
    with pytest.raises(ImageError, match=r"is not a valid file of prepared images: .*not a regular file"):
        load_splits(tmp_path / "images.safetensors", storage)


def test_a_damaged_file_is_set_aside_and_does_not_block_the_next_run(tmp_path, caplog):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 0x80]))

    assert find_splits(path) is None

    assert f"{path} is damaged" in caplog.text
    assert (tmp_path / "images.safetensors.damaged").exists()
    assert find_splits(path) is None


def test_a_file_that_cannot_be_read_now_is_left_where_it_is(tmp_path, monkeypatch):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)

    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("lottery_pipeline.images.splits_file.stat_regular", fail)
    with pytest.raises(ImageError, match="Input/output error"):
        find_splits(path)
    assert list(tmp_path.iterdir()) == [path]


def refuse_to_hash(_):
    raise AssertionError("the content was read again")


def test_the_content_of_images_on_disk_is_compared_with_its_sum_once(tmp_path, monkeypatch):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    load_splits(path, "disk")
    monkeypatch.setattr("lottery_pipeline.images.splits_file.fingerprint_tensors", refuse_to_hash)
    assert_equal_splits(load_splits(path, "disk"), make_splits())
    os.utime(path, ns=(0, 0))  # another state: it is compared again
    with pytest.raises(AssertionError, match="read again"):
        load_splits(path, "disk")


@pytest.mark.parametrize("damage", ["flip", "cut", "forged note"])
def test_a_pixel_file_that_was_changed_after_the_check_is_refused(tmp_path, damage):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    load_splits(path, "disk")
    content = path.read_bytes()
    path.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    if damage == "forged note":
        (tmp_path / "images.safetensors.checked").write_bytes(b"[" * 100_000)
    with pytest.raises(ImageError, match="not a valid file of prepared images") as caught:
        load_splits(path, "disk")
    assert "\n" not in str(caught.value)


def test_where_no_note_can_be_left_the_images_are_read_all_the_same(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    monkeypatch.setattr("lottery_pipeline.images.stored_file.write_atomically", fail)
    assert_equal_splits(load_splits(path, "disk"), make_splits())
    assert "is checked again the next time, because no note can be left" in caplog.text


def test_auto_takes_memory_where_what_training_makes_of_the_images_fits(tmp_path, monkeypatch):
    path = tmp_path / "images.safetensors"
    splits = make_splits()
    save_splits(splits, path)
    size = sum(getattr(splits, part).images.nbytes for part in PARTS)
    for free, storage in ((3 * size, "memory"), (3 * size - 1, "disk")):
        monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda free=free: free)
        assert load_splits(path, "auto").storage == storage


@pytest.mark.parametrize("storage", ["auto", "disk"])
def test_images_with_masks_are_always_in_memory(tmp_path, monkeypatch, storage):
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: 0)
    masks = [torch.zeros(2, 4, 4, dtype=torch.int64) for _ in PARTS]
    parts = [ImageSet(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), labels) for labels in masks]
    save_splits(assemble_splits(*parts, ["ground"]), tmp_path / "a")
    assert load_splits(tmp_path / "a", storage).storage == "memory"


def test_images_read_from_a_file_are_in_it_already_and_nowhere_else(tmp_path):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    stored, before = load_splits(path, "disk"), path.stat().st_mtime_ns
    save_splits(stored, path)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ImageError, match=r"cannot be saved as .*other: copy the file"):
        save_splits(stored, tmp_path / "other")
