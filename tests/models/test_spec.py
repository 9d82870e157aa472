import json

import pytest
from pydantic import ValidationError

from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.presets import PRESETS
from tests.models.supernet.networks import TINY, spec_of
from tests.tiny import tiny_spec

SOUND = {
    "name": "resnet20",
    "num_classes": 10,
    "channels": 1,
    "image_size": [8, 8],
    "mean": [0.3],
    "std": [0.4],
    "ignore_layers": ["fc"],
}


def test_a_specification_survives_json():
    spec = ModelSpec(**SOUND)
    assert ModelSpec(**json.loads(spec.model_dump_json())) == spec
    assert spec.image_size == (8, 8)
    assert hash(spec) == hash(spec.model_copy())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "resnet21"),
        ("name", "x" * 10_000),
        ("name", "torchvision:__import__('os')"),
        ("name", None),
        ("num_classes", 1),
        ("num_classes", 10**9),
        ("num_classes", "many"),
        ("channels", 0),
        ("channels", 10**6),
        ("image_size", [8]),
        ("image_size", [8, 0]),
        ("image_size", [8, 10**6]),
        ("mean", [0.3, 0.3]),
        ("mean", []),
        ("mean", [float("nan")]),
        ("mean", [2.0]),
        ("std", [0.0]),
        ("std", [float("inf")]),
        ("std", [0.4] * 100_000),
        ("ignore_layers", ["x" * 1_000]),
        ("ignore_layers", ["fc"] * 1_000),
        ("ignore_layers", [""]),
    ],
)
def test_every_field_is_bounded(field, value):
    with pytest.raises(ValidationError):
        ModelSpec(**{**SOUND, field: value})


def test_unknown_fields_are_refused_and_known_ones_frozen():
    with pytest.raises(ValidationError, match="Extra inputs"):
        ModelSpec(**SOUND, weights="https://example.org")
    with pytest.raises(ValidationError, match="frozen"):
        ModelSpec(**SOUND).channels = 3


def test_what_is_absent_is_left_out_so_that_old_fingerprints_stay():
    assert list(json.loads(ModelSpec(**SOUND).model_dump_json())) == [
        *("name", "num_classes", "channels", "image_size", "mean", "std", "ignore_layers")
    ]
    assert list(spec_of().model_dump())[-1] == "supernet"


def test_a_supernet_and_its_architecture_survive_json():
    spec = spec_of(architecture=(BlockWidths(block="network.a", hidden=((3, 2), (5, 1)), tokens=1),))
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.is_reduced
    assert not spec.restored().is_reduced
    assert spec.restored() == spec_of()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"supernet": TINY}, "a supernet if and only if its name is 'supernet', not 'resnet20'"),
        ({"name": "supernet"}, "a supernet if and only if its name is 'supernet', not 'supernet'"),
        (
            {"architecture": [{"block": "a"}]},
            "architecture is for supernets; the network 'resnet20' has none",
        ),
        (
            {"name": "supernet", "supernet": TINY, "removed_blocks": ["a"]},
            "by its architecture, not by removed_blocks",
        ),
        ({"name": "supernet", "supernet": "digits8"}, "valid dictionary or instance of Supernet"),
        ({"name": "supernet:digits8"}, "unknown model"),
        (
            {"name": "supernet", "supernet": TINY, "architecture": [{"block": "a"}] * 5000},
            "at most 4096 items",
        ),
    ],
)
def test_only_a_supernet_has_the_parts_of_one(changes, message):
    with pytest.raises(ValidationError, match=message):
        ModelSpec(**{**SOUND, **changes})


def test_another_network_for_the_same_images_has_nothing_of_this_one():
    spec = tiny_spec("resnet20", ignore_layers=("fc",), removed_blocks=("network.layer1.1",))
    other = spec.for_network("supernet", supernet=PRESETS["digits8"])
    assert (other.name, other.ignore_layers, other.removed_blocks) == ("supernet", (), ())
    assert other.for_network("resnet20") == tiny_spec("resnet20")
