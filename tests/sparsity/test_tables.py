import json

import torch

from lottery_pipeline.sparsity import dead_layers, density_table

MASKS = {
    "network.conv.weight": torch.tensor([[True, False], [False, False]]),
    "network.fc.weight": torch.zeros(3, dtype=torch.bool),
}


def test_the_density_table_has_a_row_per_layer_that_json_can_hold():
    rows = density_table(MASKS)
    assert rows == [
        {"layer": "network.conv.weight", "shape": [2, 2], "prunable": 4, "kept": 1, "density": 0.25},
        {"layer": "network.fc.weight", "shape": [3], "prunable": 3, "kept": 0, "density": 0.0},
    ]
    assert json.loads(json.dumps(rows)) == rows


def test_layers_without_a_kept_weight_are_dead():
    assert dead_layers(MASKS) == ["network.fc.weight"]
