import pytest
import torch
from torch import nn

from lottery_pipeline.models.idle import leave_out_idle_layers
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.uncounted import Uncounted, describe_uncounted, find_uncounted, list_uncounted
from tests.tiny import tiny_spec


def find(name, **changes):
    path = f"tests.user_networks:{name}"
    spec = leave_out_idle_layers(tiny_spec(path, **changes), allow_factory=path)
    return find_uncounted(spec, allow_factory=path)


def test_a_parametrised_layer_is_named_with_its_share():
    [row] = find("parametrised")
    assert row == Uncounted("1", 16 * 8, 128 / (128 + 24), "parametrised")
    assert describe_uncounted([row]) == (
        "84.2 % of the network's weights are not counted in D: 1 (parametrised, 84.2 %)"
    )


def test_idle_and_ignored_layers_are_told_apart():
    rows = find("heads", ignore_layers=("helper",))
    assert [(row.layer, row.weights, row.reason) for row in rows] == [
        ("idle", 40, "no part in the forward pass"),
        ("helper", 12, "in ignore_layers"),
        ("decoder.0", 16, "no part in the forward pass"),
        ("decoder.1.0", 8, "no part in the forward pass"),
    ]
    assert sum(row.share for row in rows) == pytest.approx(76 / (76 + 64 + 12))
    assert describe_uncounted(rows) == (
        "50.0 % of the network's weights are not counted in D: idle, decoder.0, decoder.1.0 "
        "(no part in the forward pass, 42.1 %); helper (in ignore_layers, 7.9 %)"
    )


def test_weights_of_all_kinds_are_listed_but_no_bias_norm_or_scale():
    rows = find("mixture")
    assert [(row.layer, row.weights, row.reason) for row in rows] == [
        ("places", 16, "parameter"),
        ("attention", 48, "projection into attention"),
        ("memory", 96, "recurrent"),
    ]
    assert sum(row.share for row in rows) == pytest.approx(160 / (160 + 16 + 16 + 12))


@pytest.mark.parametrize(
    ("layer", "weights", "reason"),
    [
        (nn.Bilinear(2, 3, 4), 24, "bilinear"),
        (nn.Embedding(5, 2), 10, "embedding"),
        (nn.LSTMCell(2, 3), 60, "recurrent"),
        (nn.utils.parametrizations.orthogonal(nn.Conv2d(2, 2, 1)), 4, "parametrised"),
    ],
)
def test_every_kind_of_layer_has_its_reason(layer, weights, reason):
    [row] = list_uncounted(nn.Sequential(nn.Linear(2, 2), layer))
    assert (row.layer, row.weights, row.reason) == ("1", weights, reason)


def test_a_weight_that_is_a_buffer_is_listed():
    layer = nn.Linear(4, 2)
    del layer.weight
    layer.register_buffer("weight", torch.zeros(2, 4))
    [row] = list_uncounted(nn.Sequential(nn.Linear(4, 4), layer))
    assert row == Uncounted("1", 8, 1 / 3, "its weight is not a parameter")


@pytest.mark.parametrize("name", ["conv2", "resnet20", "torchvision:resnet18"])
def test_in_networks_of_convolutions_everything_counts(name):
    assert list_uncounted(build_model(tiny_spec(name, width=32), seed=0, device="meta")) == []
    assert describe_uncounted([]) == ""


def test_only_the_first_of_many_layers_are_named_and_tiny_shares_are_not_zero():
    rows = [Uncounted(f"l{place}", 1, 0.0001, "embedding") for place in range(5)]
    assert describe_uncounted(rows[:2]).startswith("less than 0.1 % of the network's weights are not counted")
    assert "l0, l1, l2 and 2 more (embedding, less than 0.1 %)" in describe_uncounted(rows)
