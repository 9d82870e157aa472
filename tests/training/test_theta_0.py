"""theta_0 from a file: the dense run that starts from it, and what works on that."""

import shutil
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from lottery_pipeline.evaluation.alterations import pretrain_again
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods import METHODS
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.weights.choice import MisfitError, WeightsError
from lottery_pipeline.options import ImpOptions, SaliencyOptions
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.theta_0 import Theta0, draw_model, read_theta_0
from tests.tiny import spec_for
from tests.training.tiny import tiny_images

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.05)


def train_from(images: ImageSplits, theta_0: Theta0, *, seed: int = 0, **options) -> DenseRun:
    return pretrain(
        images,
        spec_for(images, "resnet20"),
        RECIPE,
        rewind_epoch=1,
        seed=seed,
        device="cpu",
        initial=theta_0.state,
        weights=theta_0.record,
        **options,
    )


@pytest.fixture(scope="module")
def images() -> ImageSplits:
    return tiny_images()


@pytest.fixture(scope="module")
def file(images, tmp_path_factory) -> Path:
    """Weights as somebody else has trained them: their batch norms have seen images."""
    model = build_model(spec_for(images, "resnet20"), seed=77)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(generator=torch.Generator().manual_seed(1))
    path = tmp_path_factory.mktemp("weights") / "mine.pt"
    torch.save(model.network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def dense(images, file) -> DenseRun:
    return train_from(images, read_theta_0(spec_for(images, "resnet20"), file, seed=0))


def test_theta_0_is_the_file_batch_norm_included_and_it_is_measured(images, file, dense):
    stored = torch.load(file, weights_only=True)
    assert all(torch.equal(dense.initial[f"network.{name}"], tensor) for name, tensor in stored.items())
    assert dense.weights.file == "mine.pt"
    assert dense.weights.tensors == dense.weights.tensors_taken == len(stored)
    assert 0 <= dense.metrics["theta_0_accuracy"] <= 1
    drawn = pretrain(images, spec_for(images, "resnet20"), RECIPE, rewind_epoch=1, seed=0, device="cpu")
    assert (drawn.weights, "theta_0_accuracy" in drawn.metrics) == (None, False)
    assert drawn.fingerprint != dense.fingerprint


def test_the_content_of_the_file_is_the_identity_and_not_its_place_or_format(images, file, dense, tmp_path):
    shutil.copy(file, tmp_path / "moved.pt")
    save_file(torch.load(file, weights_only=True), tmp_path / "other.safetensors")
    for path in (tmp_path / "moved.pt", tmp_path / "other.safetensors"):
        theta_0 = read_theta_0(spec_for(images, "resnet20"), path, seed=0)
        assert theta_0.record.sha256 == dense.weights.sha256
        assert train_from(images, theta_0, stored=dense) is dense
    state = torch.load(file, weights_only=True)
    state["fc.bias"] += 1e-3
    torch.save(state, tmp_path / "moved.pt")
    moved = read_theta_0(spec_for(images, "resnet20"), tmp_path / "moved.pt", seed=0)
    assert train_from(images, moved, stored=dense) is not dense


def test_a_killed_run_resumes_bit_by_bit_and_not_from_other_weights(images, file, dense, tmp_path):
    class Killed(BaseException):
        pass

    def die(row):
        if row["epoch"] == 2:
            raise Killed

    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    theta_0 = read_theta_0(spec_for(images, "resnet20"), file, seed=0)
    with pytest.raises(Killed):
        train_from(images, theta_0, checkpoints=checkpoints, on_record=die)
    changed = Theta0({name: tensor.clone() for name, tensor in theta_0.state.items()}, theta_0.record)
    changed.state["network.fc.bias"] += 1
    other = train_from(images, changed, checkpoints=checkpoints)
    assert torch.equal(other.initial["network.fc.bias"], changed.state["network.fc.bias"])
    assert len({other.fingerprint, dense.fingerprint}) == 2
    run = train_from(images, theta_0, checkpoints=checkpoints)
    assert fingerprint_tensors(run.final) == fingerprint_tensors(dense.final)


def test_what_was_taken_survives_the_file_of_the_dense_run(dense, tmp_path):
    save_dense_run(dense, tmp_path / "dense.safetensors")
    assert load_dense_run(tmp_path / "dense.safetensors").weights == dense.weights


def test_another_last_layer_is_drawn_from_the_seed_of_the_run(images, tmp_path):
    spec = spec_for(images, "resnet20")
    wide = build_model(spec.model_copy(update={"num_classes": 7}), seed=5)
    torch.save(wide.state_dict(), tmp_path / "seven.pt")
    one, two = (read_theta_0(spec, tmp_path / "seven.pt", seed=seed) for seed in (0, 1))
    drawn = draw_model(spec, seed=1).state_dict()
    assert two.record.fresh == ("fc.weight", "fc.bias")
    assert torch.equal(two.state["network.fc.weight"], drawn["network.fc.weight"])
    assert not torch.equal(one.state["network.fc.weight"], two.state["network.fc.weight"])
    run = train_from(images, one)
    again = pretrain_again(run, images, seed=1, device="cpu")
    assert fingerprint_tensors(again.initial) == fingerprint_tensors(two.state)
    assert again.fingerprint == train_from(images, two, seed=1).fingerprint


def test_methods_start_from_the_file_and_its_controls_from_fresh_weights(images, dense):
    search = Search(images, dense, RECIPE, 0, device="cpu")
    snip = METHODS["snip"](search, SaliencyOptions(density=0.2, images_per_class=2)).ticket
    ltr = METHODS["ltr"](search, ImpOptions(density=0.5, rate=0.5)).ticket
    layer = METHODS["layer"](search, LayerOptions(removed=1, images_per_class=2)).ticket
    for ticket, start in ((snip, dense.initial), (ltr, dense.rewind), (layer, dense.initial)):
        for name, mask in ticket.masks.items():
            assert torch.equal(ticket.state[name][mask], start[name][mask])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"fc.weight": torch.zeros(3, 64)}, "it has the weights of another network"),
        ({"a": 1}, "it holds no tensors by name"),
    ],
)
def test_other_weights_are_refused_with_the_name_of_the_file(images, tmp_path, content, words):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=rf"cannot use .*w\.pt: {words}"):
        read_theta_0(spec_for(images, "resnet20"), tmp_path / "w.pt", seed=0)


def test_named_weights_of_torchvision_are_read_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    path.parent.mkdir()
    torch.save(torchvision.models.squeezenet1_1().state_dict(), path, _use_new_zipfile_serialization=False)
    colour = tiny_images(size=40, channels=3)
    found = read_theta_0(spec_for(colour, "torchvision:squeezenet1_1"), "DEFAULT", seed=0).record
    assert found.file == "DEFAULT (squeezenet1_1-b8a52dc0.pth)"
    assert (found.fresh, found.classes) == (("classifier.1.weight", "classifier.1.bias"), 1000)


@pytest.mark.slow
def test_a_resnet_18_of_torchvision_saved_by_a_plain_script_becomes_theta_0_and_tickets(tmp_path):
    images = tiny_images(size=8, channels=3)
    spec = spec_for(images, "torchvision:resnet18")
    torch.manual_seed(3)
    model = torchvision.models.resnet18(num_classes=3)
    half = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    torch.save({"state_dict": torch.nn.DataParallel(model).state_dict()}, tmp_path / "parallel.pt")
    torch.save(half, tmp_path / "half.pt")
    save_file(model.state_dict(), tmp_path / "plain.safetensors")
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "imagenet.pt")
    torch.save(torchvision.models.resnet34(num_classes=3).state_dict(), tmp_path / "deeper.pt")
    read = {path.name: read_theta_0(spec, path, seed=0) for path in tmp_path.glob("[!d]*")}
    sums = {name: theta_0.record.sha256 for name, theta_0 in read.items()}
    assert sums["plain.pt"] == sums["parallel.pt"] == sums["plain.safetensors"] != sums["half.pt"]
    assert read["half.pt"].record.converted == ("float16",)
    assert (read["imagenet.pt"].record.fresh, read["imagenet.pt"].record.tensors_taken) == (
        ("fc.weight", "fc.bias"),
        120,
    )
    with pytest.raises(WeightsError, match="96 of its 218 tensors have no place"):
        read_theta_0(spec, tmp_path / "deeper.pt", seed=0)
    torch.save(torchvision.models.resnet50(num_classes=3).state_dict(), tmp_path / "wider.pt")
    with pytest.raises(MisfitError, match="has the shape"):
        read_theta_0(spec, tmp_path / "wider.pt", seed=0)
    for theta_0 in (read["plain.pt"], read["imagenet.pt"]):
        recipe = RECIPE.replace(epochs=2)
        dense = pretrain(
            images,
            spec,
            recipe,
            rewind_epoch=1,
            seed=0,
            device="cpu",
            initial=theta_0.state,
            weights=theta_0.record,
        )
        search = Search(images, dense, recipe, 0, device="cpu")
        assert METHODS["snip"](search, SaliencyOptions(density=0.1, images_per_class=2)).ticket.density <= 0.1
        assert METHODS["ltr"](search, ImpOptions(density=0.5, rate=0.5)).ticket.header.rewind_step
        options = LayerOptions(removed=1, images_per_class=2, min_blocks_per_stage=1)
        layer = METHODS["layer"](search, options).ticket
        assert torch.equal(layer.state["network.conv1.weight"], theta_0.state["network.conv1.weight"])
