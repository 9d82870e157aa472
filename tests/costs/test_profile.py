import json

import pytest
import torch
from torch import nn

from lottery_pipeline.costs.profile import profile_costs
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.sparsity.masks import MaskError


def network(width=4):
    return nn.Sequential(nn.Conv2d(1, width, 3, bias=False), nn.Flatten(), nn.Linear(4 * width, 2))


def test_a_masked_network_runs_at_full_size():
    masks = {"0.weight": torch.ones(4, 1, 3, 3, dtype=torch.bool)}
    masks["0.weight"][1:] = False
    record = profile_costs(network(), network(), masks, (1, 4, 4))
    conv, linear = 4 * 4 * 9, 16 * 2
    assert record["macs_dense"] == record["macs_executed"] == conv + linear
    assert record["macs_theoretical"] == conv // 4 + linear
    assert record["parameters_dense"] == record["parameters_executed"] == 36 + 32 + 2
    assert record["parameters_kept"] == 70 - 27
    assert record["bytes_dense"] == record["bytes_executed"] == 4 * 70
    assert record["layers"] == [
        {
            "layer": "0.weight",
            "macs_dense": conv,
            "macs": conv,
            "density": 0.25,
            "macs_theoretical": conv // 4,
        },
        {
            "layer": "2.weight",
            "macs_dense": linear,
            "macs": linear,
            "density": 1.0,
            "macs_theoretical": linear,
        },
    ]
    json.dumps(record)


def test_a_narrower_network_runs_what_it_is():
    record = profile_costs(network(), network(width=1), {}, (1, 4, 4))
    assert record["macs_theoretical"] == record["macs_executed"] == 4 * 9 + 4 * 2
    assert (record["filters_dense"], record["filters_executed"]) == (4, 1)
    assert record["layers"][0]["macs_dense"] == 4 * record["layers"][0]["macs"]


def test_two_flops_make_a_mac():
    record = profile_costs(network(), network(width=1), {}, (1, 4, 4))
    for kind in ("dense", "theoretical", "executed"):
        assert record[f"flops_{kind}"] == 2 * record[f"macs_{kind}"] > 0


def test_a_removed_block_costs_nothing_any_more():
    def build(removed):
        statistics = {"mean": (0.5,), "std": (0.25,)}
        spec = ModelSpec(
            name="resnet20",
            num_classes=10,
            channels=1,
            image_size=(8, 8),
            removed_blocks=removed,
            **statistics,
        )
        return build_model(spec, seed=0, device="meta")

    small = build(("network.layer2.1",))
    record = profile_costs(build(()), small, {}, (1, 8, 8))
    block = 2 * 4 * 4 * 32 * 32 * 9
    assert record["macs_dense"] - record["macs_executed"] == block
    assert record["macs_theoretical"] == record["macs_executed"]
    assert record["parameters_dense"] - record["parameters_executed"] == 18_560
    gone = [row for row in record["layers"] if row["macs"] == 0]
    assert [row["layer"] for row in gone] == [f"network.layer2.1.conv{number}.weight" for number in (1, 2)]
    assert all(row["density"] == 0 and row["macs_theoretical"] == 0 for row in gone)
    assert sum(row["macs_theoretical"] for row in record["layers"]) == record["macs_theoretical"]
    assert not any("mask" in name for name in small.state_dict())


@pytest.mark.parametrize(
    "mask", [{"9.weight": torch.ones(1, dtype=torch.bool)}, {"0.weight": torch.ones(2, dtype=torch.bool)}]
)
def test_masks_of_another_network_are_refused(mask):
    with pytest.raises(MaskError):
        profile_costs(network(), network(), mask, (1, 4, 4))
