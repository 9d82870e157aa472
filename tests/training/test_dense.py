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
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training import dense as module
from lottery_pipeline.training.dense import (
    DenseRunError,
    find_dense_run,
    load_dense_run,
    pretrain,
    save_dense_run,
)
from lottery_pipeline.training.device import describe_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe, RecipeError
from tests.training.tiny import tiny_dense_images, tiny_dense_spec, tiny_images

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.05)  # 22 images: 3 steps an epoch


@pytest.fixture(scope="module")
def images():
    return tiny_images()


def spec_for(images, **changes) -> ModelSpec:
    given = {"name": "lenet_300_100", "num_classes": 3, "channels": 1, "image_size": (6, 6)}
    return ModelSpec(**{**given, "mean": images.mean, "std": images.std, **changes})


def make(images, **options):
    options = {"rewind_epoch": 1.0, "seed": 4, "device": "cpu", **options}
    spec = options.pop("spec", None) or spec_for(images)
    return pretrain(images, spec, options.pop("recipe", RECIPE), **options)


@pytest.fixture(scope="module")
def dense(images):
    return make(images)


def test_a_dense_run_keeps_the_start_the_rewind_point_and_the_end(images, dense):
    model = build_model(spec_for(images), seed=derive_seed(4, "initialisation"))
    assert fingerprint_tensors(dense.initial) == fingerprint_tensors(model.state_dict())

    training = train(model, images, RECIPE, seed=derive_seed(4, "dense"), snapshot_steps=[0, 3], device="cpu")

    assert dense.rewind_step == 3
    assert fingerprint_tensors(dense.rewind) == fingerprint_tensors(training.snapshots[3])
    assert fingerprint_tensors(dense.final) == fingerprint_tensors(training.state)
    test = evaluate(model, images.test)
    assert dense.metrics["test_accuracy"] == test["accuracy"]
    assert dense.metrics["test_loss"] == test["loss"]
    assert dense.metrics["validation_accuracy"] == training.history[-1]["validation_accuracy"]
    assert dense.metrics["prunable"] == 36 * 300 + 300 * 100 + 100 * 3
    assert dense.metrics["epochs"] == 2
    assert dense.images_fingerprint == images.fingerprint


def test_ignored_layers_do_not_count_as_prunable(images):
    spec = spec_for(images)
    last = list(prunable_parameters(build_model(spec, seed=0)))[-1].removesuffix(".weight")

    run = make(
        images, spec=spec_for(images, ignore_layers=(last,)), recipe=RECIPE.replace(epochs=1), rewind_epoch=0
    )

    assert run.metrics["prunable"] == 36 * 300 + 300 * 100


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0.5, 2), (1.8, 5)])
def test_a_rewind_point_may_lie_inside_an_epoch(images, epoch, step):
    run = make(images, rewind_epoch=epoch)

    assert run.rewind_step == step
    assert (fingerprint_tensors(run.rewind) == fingerprint_tensors(run.initial)) == (step == 0)


@pytest.mark.parametrize("epoch", [2, 5.0, -1, math.nan])
def test_a_rewind_point_outside_the_training_is_refused(images, epoch):
    with pytest.raises(RecipeError, match="rewind_epoch"):
        make(images, rewind_epoch=epoch)


def test_a_stored_run_is_returned_only_when_it_is_the_one_asked_for(images, dense, monkeypatch):
    calls = []

    def count(*arguments, **options):
        calls.append(1)
        return train(*arguments, **options)

    monkeypatch.setattr(module, "train", count)

    assert make(images, stored=dense) is dense
    assert calls == []
    others = [
        make(images, stored=dense, seed=5),
        make(images, stored=dense, rewind_epoch=0),
        make(images, stored=dense, recipe=RECIPE.replace(learning_rate=0.1)),
        make(tiny_images(train=20), stored=dense),
    ]
    assert len(calls) == 4
    assert len({run.fingerprint for run in [dense, *others]}) == 5


def test_a_killed_pretraining_resumes_from_its_checkpoint(images, dense, tmp_path):
    class Killed(BaseException):
        pass

    def die(row):
        if row["epoch"] == 2:
            raise Killed

    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    with pytest.raises(Killed):
        make(images, checkpoints=checkpoints, on_record=die)
    told = []

    run = make(images, checkpoints=checkpoints, on_record=told.append)

    assert [row["epoch"] for row in told] == [1, 2]
    assert fingerprint_tensors(run.final) == fingerprint_tensors(dense.final)
    assert fingerprint_tensors(run.rewind) == fingerprint_tensors(dense.rewind)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_classes": 4}, "num_classes 4, but the images have 3"),
        ({"channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}, "channels 3, but the images have 1"),
        ({"image_size": (8, 6)}, r"image_size \(8, 6\), but the images have \(6, 6\)"),
    ],
)
def test_a_model_for_other_images_is_refused(images, changes, words):
    with pytest.raises(DenseRunError, match=words):
        make(images, spec=spec_for(images, **changes))


def test_a_model_for_another_task_is_refused(images):
    masks = tiny_dense_images("segmentation")
    with pytest.raises(DenseRunError, match="task classification, but the images have segmentation"):
        make(masks, spec=spec_for(masks, num_classes=2, image_size=(8, 8)))
    with pytest.raises(DenseRunError, match="task keypoints, but the images have segmentation"):
        make(masks, spec=tiny_dense_spec(masks, task="keypoints"))
    with pytest.raises(DenseRunError, match="task segmentation, but the images have classification"):
        make(images, spec=tiny_dense_spec(images, task="segmentation"))


@pytest.mark.parametrize(
    ("task", "metric", "further"),
    [("segmentation", "mIoU", "test_pixel_accuracy"), ("keypoints", "PCK", "test_pixel_error")],
)
def test_a_dense_task_names_its_metric_and_survives_the_file(tmp_path, task, metric, further):
    images = tiny_dense_images(task)
    run = make(images, spec=tiny_dense_spec(images), rewind_epoch=0.0)
    assert run.metrics["metric"] == metric
    assert run.metrics[further] >= 0
    assert 0 <= run.metrics["test_accuracy"] <= 1
    save_dense_run(run, tmp_path / "run")
    assert load_dense_run(tmp_path / "run").metrics == run.metrics


def test_classification_has_the_metrics_that_it_always_had(dense):
    assert set(dense.metrics) == {
        "test_accuracy",
        "test_loss",
        "validation_accuracy",
        "seconds",
        "epochs",
        "early_stop_step",
        "prunable",
    }


def test_no_test_images_is_an_error_before_the_training():
    images = tiny_images(test=0)

    with pytest.raises(DenseRunError, match="no test images"):
        make(images)


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


def test_what_does_not_count_is_said_once_and_idle_layers_are_in_the_specification(
    images, caplog, monkeypatch
):
    monkeypatch.setattr(module, "_said", set())
    name = "tests.user_networks:heads"
    spec = spec_for(images, name=name)
    run = pretrain(images, spec, RECIPE, rewind_epoch=1, seed=0, device="cpu", allow_factory=name)
    assert run.spec.ignore_layers == ("network.decoder.*", "network.idle")
    assert run.metrics["prunable"] == 36 * 4 + 2 * 4 * 3
    again = pretrain(
        images, run.spec, RECIPE, rewind_epoch=1, seed=0, device="cpu", allow_factory=name, stored=run
    )
    assert again is run
    [said] = [message for message in caplog.messages if "not counted in D" in message]
    assert said == (
        "tests.user_networks:heads: 27.6 % of the network's weights are not counted in D: "
        "idle, decoder.0, decoder.1.0 (no part in the forward pass, 27.6 %)."
    )


def test_nothing_is_said_of_what_the_user_leaves_out(images, caplog):
    spec = spec_for(images, ignore_layers=("fc",))
    pretrain(images, spec, RECIPE, rewind_epoch=1, seed=0, device="cpu")
    assert not [message for message in caplog.messages if "not counted" in message]


def test_a_pattern_that_matches_no_layer_is_refused_before_the_training(images):
    with pytest.raises(ModelError, match="'head' matches no layer; layers are fc1, fc2, fc"):
        pretrain(
            images, spec_for(images, ignore_layers=("head",)), RECIPE, rewind_epoch=1, seed=0, device="cpu"
        )
