"""Tests of physically smaller networks."""

import pytest
import torch
from pydantic import ValidationError

from lottery_pipeline.models.blocks import list_blocks, list_candidates, most_removable, stage_sizes
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.reduction import layer_widths, narrow_layers_
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec


def make_spec(name: str, **changes: object) -> ModelSpec:
    content = {
        "num_classes": 10,
        "channels": 3,
        "image_size": (16, 16),
        "mean": (0.5,) * 3,
        "std": (0.25,) * 3,
    }
    return ModelSpec(**{"name": name, **content, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "candidates", "most"),
    [
        ("resnet20", (2, 2, 2), 3),
        ("resnet32", (4, 4, 4), 9),
        ("resnet56", (8, 8, 8), 21),
        ("resnet50", (2, 3, 5, 2), 8),
        ("torchvision:resnet18", (1, 1, 1, 1), 0),
    ],
)
def test_candidates_are_the_blocks_behind_the_first_of_their_stage(
    name: str, candidates: tuple[int, ...], most: int
) -> None:
    model = build_model(make_spec(name), seed=0, device="meta")
    found = list_candidates(model)
    stages = list(dict.fromkeys(block.stage for block in found))
    assert tuple(sum(block.stage == stage for block in found) for stage in stages) == candidates
    assert most_removable(found, stage_sizes(model)) == most


def test_the_first_block_of_stage_1_is_a_candidate_on_request() -> None:
    model = build_model(make_spec("resnet20"), seed=0, device="meta")
    extra = {block.name for block in list_candidates(model, with_first_block=True)}
    assert extra - {block.name for block in list_candidates(model)} == {"network.layer1.0"}


def test_a_vgg_has_no_layer_to_remove() -> None:
    model = build_model(make_spec("vgg16"), seed=0, device="meta")
    assert list_blocks(model) == []
    with pytest.raises(ModelError, match="no residual block with an identity shortcut"):
        list_candidates(model)


@pytest.mark.parametrize("name", ["resnet20", "torchvision:resnet50"])
def test_a_network_without_blocks_keeps_names_and_loses_exactly_their_tensors(name: str) -> None:
    gone = ("network.layer1.1", "network.layer3.2")
    full = build_model(make_spec(name), seed=3)
    reduced = build_model(make_spec(name, removed_blocks=gone), seed=3)
    kept = {key: value for key, value in full.state_dict().items() if not key.startswith(gone)}
    assert kept.keys() == reduced.state_dict().keys()
    assert all(torch.equal(kept[key], value) for key, value in reduced.state_dict().items())
    assert reduced(torch.rand(2, 3, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize(
    ("gone", "fault"),
    [
        (("network.layer2.0",), "not a residual block with an identity shortcut"),
        (("network.fc",), "not a residual block"),
        (("network.layer1.1", "network.layer1.1"), "not a residual block"),
    ],
)
def test_what_is_no_identity_block_cannot_be_removed(gone: tuple[str, ...], fault: str) -> None:
    with pytest.raises(ModelError, match=fault):
        build_model(make_spec("resnet20", removed_blocks=gone), seed=0)


def test_narrow_layers_have_the_channels_they_were_given() -> None:
    block = "network.layer2.1"
    widths = ((f"{block}.conv1", 32, 20), (f"{block}.bn1", 20, 20), (f"{block}.conv2", 20, 32))
    spec = make_spec("resnet20", narrowed=widths)
    model = build_model(spec, seed=0)
    assert model.get_submodule(f"{block}.conv1").weight.shape == (20, 32, 3, 3)
    assert model.get_submodule(f"{block}.conv2").weight.shape == (32, 20, 3, 3)
    shapes = {
        key: value.shape for key, value in build_model(spec, seed=0, device="meta").state_dict().items()
    }
    assert shapes == {key: value.shape for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("layer", "before", "after", "fault"),
    [
        ("network.conv1", 3, 17, "has 3 and 16 channels"),
        ("network.nothing", 3, 16, "is not a layer"),
        ("network.layer1", 3, 16, "is a Sequential, which cannot be narrowed"),
        ("network.bn1", 8, 4, "normalises channels one by one"),
        ("network.conv1", 3, 8, "does not take"),
    ],
)
def test_widths_that_do_not_fit_are_refused(layer: str, before: int, after: int, fault: str) -> None:
    with pytest.raises(ModelError, match=fault):
        build_model(make_spec("resnet20", narrowed=((layer, before, after),)), seed=0, device="meta")


def test_a_full_network_is_recorded_as_it_always_was() -> None:
    full = make_spec("resnet20")
    reduced = make_spec("resnet20", removed_blocks=("network.layer1.1",))
    assert "removed_blocks" not in full.model_dump(mode="json")
    assert "narrowed" not in full.model_dump(mode="json")
    assert ModelSpec.model_validate(reduced.model_dump(mode="json")) == reduced
    assert reduced.is_reduced
    assert reduced.restored() == full


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        make_spec("resnet20", narrowed=(("network.conv1", 3, 0),))


def test_narrower_batch_norm_keeps_no_statistics_if_the_wider_one_does_not() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(4, track_running_stats=False, momentum=None))
    narrow_layers_(model, [("0", 3, 3)])
    assert (model[0].num_features, model[0].running_mean, model[0].momentum) == (3, None, None)
    assert list(model.state_dict()) == ["0.weight", "0.bias"]


def test_a_subclass_of_a_layer_cannot_be_narrowed_since_it_may_compute_something_else() -> None:
    class Standardised(torch.nn.Conv2d):
        pass

    assert layer_widths(torch.nn.Conv2d(2, 3, 1)) == (2, 3)
    assert layer_widths(Standardised(2, 3, 1)) is None
    assert layer_widths(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 3))) is None
