import pytest
import torch
from torch import nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.scoring import batch_statistics
from tests.tiny import tiny_spec


def test_gates_of_1_give_the_dense_network_and_gates_of_0_none_of_its_weights():
    model = build_model(tiny_spec(), seed=0)
    network = GatedNetwork(model)
    pixels = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    inputs = network.normalise(pixels)
    assert torch.equal(network(inputs, network.weights), model(pixels))
    biases = model.network.fc.bias.detach()
    assert torch.equal(network(inputs, 0 * network.weights), biases.expand(5, 3))


def test_the_flat_order_is_that_of_layers_and_of_indices():
    model = build_model(tiny_spec(), seed=0)
    network = GatedNetwork(model)
    parts = network.split(network.weights)
    assert list(parts) == ["network.fc1.weight", "network.fc2.weight", "network.fc.weight"]
    assert torch.equal(network.weights[:16], model.network.fc1.weight.detach()[0])
    assert all(torch.equal(part, model.get_parameter(name)) for name, part in parts.items())


def test_the_model_itself_is_not_written_to():
    model = build_model(tiny_spec(), seed=0)
    network = GatedNetwork(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    network.weights.zero_()
    network(torch.zeros(2, 1, 4, 4), network.weights)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_gradients_reach_the_weights_and_nothing_else():
    model = build_model(tiny_spec(), seed=0)
    network = GatedNetwork(model)
    weights = network.weights.clone().requires_grad_()
    network(torch.ones(2, 1, 4, 4), weights).sum().backward()
    assert weights.grad is not None
    assert all(parameter.grad is None for parameter in model.parameters())


def test_any_module_can_be_gated_and_layers_can_be_left_out():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    network = GatedNetwork(module, ("1",))
    assert list(network.shapes) == ["0.weight"]
    assert network.normalise is None
    assert set(network.others) == {"0.bias", "1.weight", "1.bias"}
    with pytest.raises(ModelError, match="nothing is left to prune"):
        GatedNetwork(module, ("0", "1"))


def test_batch_norm_can_be_used_without_its_weight_and_bias():
    model = build_model(tiny_spec("resnet20", width=8), seed=0)
    plain, bare = GatedNetwork(model), GatedNetwork(model, affine=False)
    assert torch.equal(bare.others["bn1.weight"], torch.ones(16))
    assert torch.equal(bare.others["layer1.0.bn2.bias"], torch.zeros(16))
    assert set(bare.others) == set(plain.others)
    pixels = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with batch_statistics(model):
        logits = [network(pixels, network.weights) for network in (plain, bare)]
    assert not torch.allclose(*logits)
    assert not torch.equal(model.network.bn1.weight, torch.ones(16))


def test_half_precision_gives_logits_in_full():
    network = GatedNetwork(build_model(tiny_spec(), seed=0), precision="bfloat16")
    assert network(torch.ones(2, 1, 4, 4), network.weights).dtype == torch.float32
