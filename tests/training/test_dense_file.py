import dataclasses
import errno
import json
import math
import os
import struct

import pytest
import torch
from kedro.io import DatasetError
from safetensors.torch import load_file, save_file

from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.training import dense_file as module
from lottery_pipeline.training.dense import DenseRunError, pretrain
from lottery_pipeline.training.dense_file import find_dense_run, load_dense_run, save_dense_run
from lottery_pipeline.training.device import describe_device
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import spec_for
from tests.training.tiny import tiny_images

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.05)  # 22 images: 3 steps an epoch


def make(images, *, rewind_epoch=1.0):
    return pretrain(images, spec_for(images), RECIPE, rewind_epoch=rewind_epoch, seed=4, device="cpu")


@pytest.fixture(scope="module")
def dense():
    return make(tiny_images())


def test_what_is_saved_is_loaded(dense, tmp_path):
    path = tmp_path / "dense.safetensors"

    save_dense_run(dense, path)
    loaded = load_dense_run(path)

    for field in dataclasses.fields(dense):
        found, expected = getattr(loaded, field.name), getattr(dense, field.name)
        if field.name in ("initial", "rewind", "final"):
            assert fingerprint_tensors(found) == fingerprint_tensors(expected)
        else:
            assert found == expected


def test_a_run_without_validation_images_and_rewind_point_is_saved_too(tmp_path):
    run = make(tiny_images(validation=0), rewind_epoch=0)

    save_dense_run(run, tmp_path / "dense.safetensors")
    loaded = load_dense_run(tmp_path / "dense.safetensors")

    assert loaded.metrics["validation_accuracy"] is None
    assert fingerprint_tensors(loaded.rewind) == fingerprint_tensors(run.initial)


def test_the_record_of_how_it_was_computed_survives_the_file(dense, tmp_path):
    save_dense_run(dense, tmp_path / "dense.safetensors")
    loaded = load_dense_run(tmp_path / "dense.safetensors")
    assert loaded.arithmetic == describe_device("cpu")
    assert (loaded.arithmetic["convolutions"], loaded.arithmetic["deterministic_algorithms"]) == (
        "ieee",
        False,
    )


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_dense_run(tmp_path / "nothing.safetensors")


def read(path):
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])["__metadata__"]["dense_run"]
    return load_file(path), json.loads(header)


def drop_tensor(tensors, header):
    tensors.pop(next(name for name in tensors if name.startswith("final/")))


def drop_everywhere(tensors, header):
    name = next(name for name in tensors if name.startswith("final/")).removeprefix("final/")
    for part in ("initial", "rewind", "final"):
        tensors.pop(f"{part}/{name}")


def reshape_everywhere(tensors, header):
    for name in tensors:
        tensors[name] = tensors[name].reshape(1, -1).contiguous()


def change_type(tensors, header):
    for name in tensors:
        tensors[name] = tensors[name].double()


def add_tensor(tensors, header):
    tensors["other/w"] = torch.zeros(1)


def put_nan(tensors, header):
    name = next(name for name in tensors if name.startswith("rewind/"))
    tensors[name].view(-1)[0] = math.nan


def claim_another_model(tensors, header):
    header["spec"]["name"] = "resnet20"


def claim_an_unknown_model(tensors, header):
    header["spec"]["name"] = "os:system"
    header["spec"]["image_size"] = [10**9, 1]


def claim_a_bad_recipe(tensors, header):
    header["recipe"]["epochs"] = -1


def claim_another_version(tensors, header):
    header["format_version"] = 2


def add_a_key(tensors, header):
    header["surprise"] = 1


def nest_the_history(tensors, header):
    header["history"] = [{"step": [1]}]


def put_a_word_for_a_number(tensors, header):
    header["metrics"]["prunable"] = "many"


def put_a_long_word(tensors, header):
    header["metrics"]["metric"] = "m" * 1000


FAULTS = [
    drop_tensor,
    drop_everywhere,
    reshape_everywhere,
    change_type,
    add_tensor,
    put_nan,
    claim_another_model,
    claim_an_unknown_model,
    claim_a_bad_recipe,
    claim_another_version,
    add_a_key,
    nest_the_history,
    put_a_word_for_a_number,
    put_a_long_word,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_faulty_file_is_refused_in_one_sentence(dense, tmp_path, fault):
    path = tmp_path / "dense.safetensors"
    save_dense_run(dense, path)
    tensors, header = read(path)
    fault(tensors, header)
    save_file(tensors, path, metadata={"dense_run": json.dumps(header)})

    with pytest.raises(DenseRunError, match="is not a valid dense run") as error:
        load_dense_run(path)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", ["empty", "truncated", "long header", "noise", "no header", "folder"])
def test_a_damaged_file_is_refused_in_one_sentence(dense, tmp_path, damage):
    path = tmp_path / "dense.safetensors"
    save_dense_run(dense, path)
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "no header":
        save_file({"w": torch.zeros(1)}, path)
    else:
        path.write_bytes(
            {
                "empty": b"",
                "truncated": content[:-100],
                "long header": struct.pack("<Q", 2**60) + content[8:],
                "noise": bytes(range(256)) * 10,
            }[damage]
        )

    with pytest.raises(DenseRunError, match="is not a valid dense run"):
        load_dense_run(path)


def test_flipped_sign_bits_are_refused_and_the_sentence_says_what_to_do(dense, tmp_path):
    path = tmp_path / "dense.safetensors"
    save_dense_run(dense, path)
    tensors, header = read(path)
    name = next(name for name in tensors if name.startswith("initial/") and name.endswith("weight"))
    tensors[name] = -tensors[name]
    save_file(tensors, path, metadata={"dense_run": json.dumps(header)})

    with pytest.raises(DenseRunError, match="does not agree with its SHA-256 sum") as error:
        load_dense_run(path)

    assert "remove it and run" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_dense_run_is_set_aside_and_does_not_block_the_next(dense, tmp_path, caplog):
    path = tmp_path / "dense.safetensors"
    save_dense_run(dense, path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 0x80]))

    assert find_dense_run(path) is None

    assert "does not agree with its SHA-256 sum" in caplog.text
    assert (tmp_path / "dense.safetensors.damaged").exists()
    save_dense_run(dense, path)
    assert find_dense_run(path).fingerprint == dense.fingerprint


def test_a_dense_run_that_cannot_be_read_now_is_left_where_it_is(dense, tmp_path, monkeypatch):
    path = tmp_path / "dense.safetensors"
    save_dense_run(dense, path)

    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "check_header_length", fail)
    with pytest.raises(DenseRunError, match="Input/output error"):
        find_dense_run(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_changed_header_is_refused(dense, tmp_path):
    path = tmp_path / "dense.safetensors"
    save_dense_run(dense, path)
    tensors, header = read(path)
    header["metrics"]["test_accuracy"] -= 0.25
    save_file(tensors, path, metadata={"dense_run": json.dumps(header)})

    with pytest.raises(DenseRunError, match="does not agree with its SHA-256 sum"):
        load_dense_run(path)


def test_a_run_of_an_older_version_is_refused_but_not_reused(dense, tmp_path, caplog):
    path = tmp_path / "dense.safetensors"
    save_dense_run(dense, path)
    tensors, header = read(path)
    del header["sha256"]
    save_file(tensors, path, metadata={"dense_run": json.dumps(header)})

    with pytest.raises(DenseRunError, match="was written by an older version"):
        load_dense_run(path)
    with pytest.raises(DatasetError, match="was written by an older version"):
        DenseRunDataset(filepath=str(path)).load()
    assert find_dense_run(path) is None
    assert "computed again" in caplog.text
    assert find_dense_run(tmp_path / "none") is None


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "dense.safetensors")
    with pytest.raises(DenseRunError, match=r"is not a valid dense run: .*it is not a regular file"):
        load_dense_run(tmp_path / "dense.safetensors")
