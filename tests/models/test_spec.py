import json

import pytest
from pydantic import ValidationError

from lottery_pipeline.models.spec import ModelSpec

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
