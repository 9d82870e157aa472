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
from lottery_pipeline.images.splits import (
    PARTS,
    ImageSet,
    ImageSplits,
    assemble_splits,
    find_splits,
    load_splits,
    save_splits,
)
from tests.images.builders import make_set, make_splits


def assert_equal_splits(first: ImageSplits, second: ImageSplits) -> None:
    for field in dataclasses.fields(ImageSplits):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name in PARTS:
            assert torch.equal(a.images, b.images)
            assert torch.equal(a.labels, b.labels)
        else:
            assert a == b


def test_what_is_saved_is_loaded(tmp_path):
    splits = make_splits(request="r" * 64, source="digits")
    save_splits(splits, tmp_path / "deep" / "images.safetensors")
    loaded = load_splits(tmp_path / "deep" / "images.safetensors")
    assert_equal_splits(loaded, splits)
    assert loaded.train.images.is_contiguous()


def test_an_empty_validation_set_survives_the_file(tmp_path):
    empty = make_set([])
    splits = assemble_splits(make_set([0, 1]), empty, make_set([1]), ["a", "b"])
    save_splits(splits, tmp_path / "images.safetensors")
    assert len(load_splits(tmp_path / "images.safetensors").validation) == 0


def test_properties_tell_what_a_model_must_know():
    splits = assemble_splits(
        ImageSet(torch.zeros(2, 1, 4, 6, dtype=torch.uint8), torch.tensor([0, 1])),
        ImageSet(torch.zeros(0, 1, 4, 6, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)),
        ImageSet(torch.zeros(1, 1, 4, 6, dtype=torch.uint8), torch.tensor([2])),
        ["a", "b", "c"],
    )
    assert (splits.num_classes, splits.channels, splits.image_size) == (3, 1, (4, 6))


def test_the_fingerprint_changes_with_pixels_labels_and_names():
    train, other, test = make_set([0, 1], seed=1), make_set([0, 1], seed=2), make_set([1], seed=3)
    none = make_set([])
    prints = {
        assemble_splits(train, none, test, ["a", "b"]).fingerprint,
        assemble_splits(other, none, test, ["a", "b"]).fingerprint,
        assemble_splits(ImageSet(train.images, train.labels.flip(0)), none, test, ["a", "b"]).fingerprint,
        assemble_splits(train, none, test, ["a", "c"]).fingerprint,
        assemble_splits(train, test, none, ["a", "b"]).fingerprint,
    }
    assert len(prints) == 5
    assert assemble_splits(train, none, test, ["a", "b"], request="x").fingerprint in prints


def test_a_set_on_its_device_already_is_not_copied():
    part = make_set([0, 1])
    assert part.to("cpu") is part
    assert part.to("meta").labels.device.type == "meta"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64), "uint8"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"\[N, C, H, W\]"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), r"shape \[2\]"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2), "int64"),
    ],
)
def test_a_set_of_wrong_types_or_shapes_is_refused(images, labels, message):
    with pytest.raises(ImageError, match=message):
        ImageSet(images, labels)


def test_parts_that_do_not_fit_together_are_refused():
    with pytest.raises(ImageError, match="the same shape"):
        assemble_splits(make_set([0]), make_set([0]), make_set([0], side=5), ["a"])
    with pytest.raises(ImageError, match="test labels must be from 0 to 0"):
        assemble_splits(make_set([0]), make_set([0]), make_set([1]), ["a"])
    with pytest.raises(ImageError, match="no training images"):
        assemble_splits(make_set([]), make_set([0]), make_set([0]), ["a"])


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_splits(tmp_path / "nowhere.safetensors")


def parts_of(path) -> tuple[dict[str, torch.Tensor], dict]:
    splits = load_splits(path)
    tensors = {
        f"{p}.{k}": getattr(getattr(splits, p), k).clone() for p in PARTS for k in ("images", "labels")
    }
    size = struct.unpack("<Q", path.read_bytes()[:8])[0]
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    return tensors, json.loads(metadata["header"])


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
def test_a_lying_header_is_one_sentence(tmp_path, change, message):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    tensors, header = parts_of(path)
    save_file(tensors, path, metadata={"header": json.dumps(header | {"sha256": None} | change)})
    with pytest.raises(ImageError, match=rf"images\.safetensors is not a valid.*({message})") as caught:
        load_splits(path)
    assert "\n" not in str(caught.value)


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
def test_lying_tensors_are_one_sentence(tmp_path, change, message):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    tensors, header = parts_of(path)
    save_file(tensors | change, path, metadata={"header": json.dumps(header)})
    with pytest.raises(ImageError, match=message):
        load_splits(path)


@pytest.mark.parametrize(
    "change", [{"source": "cifar10"}, {"request": "0" * 64}, {"mean": [0.5] * 3}, {"sha256": "0" * 64}]
)
def test_a_header_that_was_changed_is_refused(tmp_path, change):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(source="digits"), path)
    tensors, header = parts_of(path)
    save_file(tensors, path, metadata={"header": json.dumps(header | change)})
    with pytest.raises(ImageError, match="header does not agree with its SHA-256 sum, so it was changed"):
        load_splits(path)


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


@pytest.mark.parametrize("header", [None, {}, {"header": "no JSON"}, {"header": "[" * 100_000}])
def test_a_missing_or_broken_header_is_refused(tmp_path, header):
    path = tmp_path / "images.safetensors"
    save_splits(make_splits(), path)
    tensors, _ = parts_of(path)
    save_file(tensors, path, metadata=header)
    with pytest.raises(ImageError, match="header"):
        load_splits(path)


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
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "images.safetensors"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="not a valid file of prepared images"):
        load_splits(path)
    with pytest.raises(ImageError, match="not a valid file of prepared images"):
        load_splits(tmp_path)


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), truncate=st.booleans())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_or_harmless(tmp_path, position, bit, truncate):
    splits = make_splits(request="r" * 64, source="digits")
    path = tmp_path / "images.safetensors"
    save_splits(splits, path)
    content = bytearray(path.read_bytes())
    place = int(position * len(content))
    content[place] ^= 1 << bit
    path.write_bytes(content[:place] if truncate else content)
    try:
        loaded = load_splits(path)
    except ImageError:
        return
    # Only the name of the source, the request, and blanks may differ: no pixel, label, name or statistic.
    assert loaded.fingerprint == splits.fingerprint
    assert torch.equal(loaded.train.images, splits.train.images)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "images.safetensors")
    with pytest.raises(ImageError, match=r"is not a valid file of prepared images: .*not a regular file"):
        load_splits(tmp_path / "images.safetensors")


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

    monkeypatch.setattr("lottery_pipeline.images.splits.stat_regular", fail)
    with pytest.raises(ImageError, match="Input/output error"):
        find_splits(path)
    assert list(tmp_path.iterdir()) == [path]
