"""The head of a network is found by what runs, not by the order of its layers."""

import pytest
import torch

from lottery_pipeline.models.head import find_head, read_features
from lottery_pipeline.models.names import ModelError
from tests import user_networks

IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_head_may_have_layers_registered_behind_it() -> None:
    network = user_networks.gate_behind_head(3, 1)
    assert find_head(network, IMAGES) == "head"
    assert all(module.training for module in network.modules())
    logits, features = read_features(network.eval(), "head", IMAGES)
    assert torch.equal(network.get_submodule("head")(features), logits)


def test_layers_that_do_not_run_are_no_heads() -> None:
    assert find_head(user_networks.heads(3, 1, (8, 8)), IMAGES) == "fc"


def test_a_network_that_ends_in_a_convolution_has_no_head() -> None:
    with pytest.raises(ModelError, match="do not come from a linear layer with one output per class"):
        find_head(user_networks.convolution_head(3, 1), IMAGES)
