"""What a row of the published study says of its masks."""

import torch

from benchmarks.published.work import count_gaps


def test_layers_and_classes_without_a_weight_are_counted():
    full, empty = torch.ones(4, 2, 3, 3, dtype=torch.bool), torch.zeros(4, 4, 3, 3, dtype=torch.bool)
    classifier = torch.tensor([[True, False], [False, False], [False, False]])
    assert count_gaps({"a": full, "b": empty, "c": classifier}) == {
        "dead_layers": 1,
        "unconnected_classes": 2,
    }
