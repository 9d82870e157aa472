import importlib

import numpy as np
import pytest
import torch

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet
from lottery_pipeline.models.supernet.layout import lay_out
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.models.supernet.networks import TINY, build_used, images_of, spec_of
from tests.reference.supernet_naive import run_backbone

SIZES = [(8, 8), (9, 11), (33, 47)]
TASKS = ["classification", "segmentation", "keypoints"]
THREE = Supernet(
    input_stride=2,
    stem_channels=3,
    stages=(
        Stage(blocks=(1,), channels=(3,)),
        Stage(blocks=(1, 2), channels=(3, 4)),
        Stage(blocks=(1, 1, 1), channels=(2, 4, 5)),
        Stage(blocks=(1, 1, 1), channels=(2, 4, 5)),
    ),
    kernel_sizes=(3,),
    expand_ratio=1,
    attention=Attention(enabled=False),
)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("preset", ["digits8", "canvas32", "cifar"])
def test_outputs_have_the_promised_shape(preset, task, size):
    spec = spec_of(PRESETS[preset].for_task(task), size)
    images = torch.zeros(1, 1, *size, device="meta")
    outputs = build_model(spec, seed=0, device="meta").eval()(images)
    stride = spec.supernet.input_stride
    maps = () if task == "classification" else (-(-size[0] // stride), -(-size[1] // stride))
    assert outputs.shape == (1, 3, *maps)


@pytest.mark.parametrize("task", TASKS)
def test_the_published_network_builds_for_every_task(task):
    height, width = {"classification": (224, 224), "segmentation": (512, 1024), "keypoints": (256, 192)}[task]
    spec = spec_of(PRESETS["hrnas"].for_task(task), (height, width), channels=3, num_classes=17)
    outputs = build_model(spec, seed=0, device="meta")(torch.zeros(2, 3, height, width, device="meta"))
    maps = () if task == "classification" else (height // 4, width // 4)
    assert outputs.shape == (2, 17, *maps)


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (14, 21)])
def test_branches_are_fused_as_the_naive_network_does_it(size):
    spec = spec_of(THREE.for_task("segmentation"), size)
    model, images = build_used(spec, dtype=torch.float64), images_of(spec, dtype=torch.float64)
    with torch.no_grad():
        branches = run_backbone(model.network, spec.supernet, model.normalise(images))
        features = [model.network.stem(model.normalise(images))]
        for stage in model.network.stages.values():
            features = stage(features)
    assert [tuple(maps.shape[1:]) for maps in features] == [tuple(maps.shape[1:]) for maps in branches]
    for ours, theirs in zip(features, branches, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)


def test_an_image_does_not_depend_on_the_others_in_evaluation_mode():
    spec = spec_of("digits8")
    model, images = build_used(spec), images_of(spec, 3)
    with torch.no_grad():
        assert torch.allclose(model(images)[1:2], model(images[1:2]), atol=1e-5)


def test_the_same_seed_gives_the_same_network():
    first, second, other = (build_model(spec_of(), seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    name = "network.stages.s1.branch1.block1.groups.k3.expand.weight"
    assert not torch.equal(first[name], other[name])


def test_all_units_start_equally_important():
    model = build_model(spec_of("digits8"), seed=0)
    norms = [name for name, _ in model.named_parameters() if ".groups." in name and "norm" in name]
    assert len(norms) == 27 * 4
    assert all(
        bool((weight == (1.0 if name.endswith("weight") else 0.0)).all())
        for name, weight in model.named_parameters()
        if ".groups." in name and "norm" in name
    )


def test_every_parameter_is_trained():
    model = build_model(spec_of(), seed=0)
    for _ in range(2):  # an attention path that starts silent has no gradient in the first step
        model.zero_grad()
        model(images_of(spec_of())).square().sum().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.05 * parameter.grad.sign())
    assert all(bool(parameter.grad.any()) for name, parameter in model.named_parameters())


def test_batches_in_channels_last_and_bfloat16_give_the_same_logits():
    spec = spec_of("digits8")
    model, images = build_used(spec), images_of(spec)
    with torch.no_grad():
        logits = model(images)
        model = model.to(memory_format=torch.channels_last)
        last = model(images.to(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):
            half = model(images)
    assert torch.allclose(last, logits, atol=1e-4)
    assert half.dtype == torch.bfloat16
    assert (half - logits).abs().max() < 0.1 * logits.abs().max()


def test_a_training_step_in_bfloat16_has_finite_gradients():
    model = build_model(spec_of(TINY.model_copy(update={"recompute": True})), seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(images_of(spec_of())).float().square().sum()
    loss.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())


def test_an_architecture_builds_the_smaller_network_on_meta_without_memory():
    spec = spec_of("digits8")
    smallest = tuple(BlockWidths(block=name) for name in lay_out(spec.supernet, spec.image_size))
    model = build_model(spec.model_copy(update={"architecture": smallest}), seed=0, device="meta")
    names = {name for name, _ in model.named_parameters()}
    assert all(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    assert not any(".groups." in name or ".attention." in name for name in names)
    assert names < {name for name, _ in build_model(spec, seed=0, device="meta").named_parameters()}
    assert model(torch.zeros(2, 1, 8, 8, device="meta")).shape == (2, 3)


def test_images_below_a_pixel_of_the_coarsest_branch_are_refused():
    with pytest.raises(ModelError, match="needs images of at least 2x2 pixels, these are 1x8"):
        build_model(spec_of(size=(1, 8)), seed=0)


@pytest.mark.slow
def test_the_published_network_takes_a_training_step():
    spec = spec_of("hrnas", 64, channels=3, num_classes=10)
    model, images = build_model(spec, seed=0), images_of(spec, 4)
    labels = torch.arange(4)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(2):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
    assert losses[1] < losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_onnx_gives_the_same_logits_at_any_batch_size(task, tmp_path):
    runtime = importlib.import_module("onnxruntime")  # heavy, and here alone
    spec = spec_of(TINY.for_task(task), (9, 10))
    vanished = tuple(
        block.widths().model_copy(update={"hidden": ()} if "s1" in name else {})
        for name, block in lay_out(spec.supernet, spec.image_size).items()
    )
    spec = spec.model_copy(update={"architecture": vanished})
    model, images = build_used(spec), images_of(spec, 5)
    program = torch.onnx.export(
        model, (images[:2],), dynamo=True, verbose=False, dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    program.save(tmp_path / "network.onnx")
    session = runtime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        wanted = model(images).numpy()
    assert np.abs(found - wanted).max() < 1e-4
    assert found.shape == wanted.shape


def test_the_head_of_a_classifier_adds_up_from_the_finest_branch():
    spec = spec_of(THREE.model_copy(update={"head": Head(channels=(3, 4, 6), width=5)}), 12)
    head = build_used(spec).network.head
    generator = make_generator(0, "branches")
    branches = [
        torch.randn(2, width, size, size, generator=generator) for width, size in ((2, 6), (4, 3), (5, 2))
    ]
    with torch.no_grad():
        second = head.widen2(branches[1]) + head.from1_to2(head.widen1(branches[0]))
        third = head.widen3(branches[2]) + head.from2_to3(second)
        pooled = torch.relu(head.norm(head.conv(third))).mean((2, 3))
        assert torch.equal(head(branches), pooled)
