import pytest
from torch import nn

from lottery_pipeline.costs.sizes import (
    count_bytes,
    count_filters,
    count_parameters,
    parameters_by_layer,
)
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec


def resnet(depth, removed=()):
    statistics = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    spec = ModelSpec(
        name=f"resnet{depth}",
        num_classes=10,
        channels=3,
        image_size=(32, 32),
        removed_blocks=removed,
        **statistics,
    )
    return build_model(spec, seed=0, device="meta")


@pytest.mark.parametrize(
    ("depth", "parameters", "filters"), [(32, 466_906, 1_232), (56, 855_770, 2_128), (20, 272_474, 784)]
)
def test_cifar_resnets_have_their_published_size(depth, parameters, filters):
    model = resnet(depth)
    assert count_parameters(model) == parameters
    assert count_filters(model) == filters


@pytest.mark.parametrize(
    ("stage", "parameters", "filters"), [(1, 4_672, 32), (2, 18_560, 64), (3, 73_984, 128)]
)
def test_a_removed_block_takes_its_parameters_along(stage, parameters, filters):
    full, small = resnet(32), resnet(32, (f"network.layer{stage}.1",))
    assert count_parameters(full) - count_parameters(small) == parameters
    assert count_filters(full) - count_filters(small) == filters


def test_layers_sum_to_the_network_and_buffers_do_not_count():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    assert parameters_by_layer(model) == {"0": 20, "1": 4, "3": 27}
    assert count_parameters(model) == 51


def test_frozen_parameters_do_not_count_and_shared_ones_count_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    assert parameters_by_layer(model) == {"0": 20, "1": 4}
    assert count_bytes(model) == 4 * (16 + 3 * 4 + 16)


def test_bytes_count_buffers_too():
    assert count_bytes(nn.BatchNorm2d(2)) == 4 * 2 * 4 + 8  # and the number of batches, 64 bit
