import math

import pytest
import torch
from torch import nn

from lottery_pipeline.methods.cts.objectives import OBJECTIVES, Batch, RecordedRelus
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import CtsOptions
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.scoring import batch_statistics
from lottery_pipeline.tickets.errors import TicketError
from tests.tiny import tiny_spec

LN9 = math.log(9)
every_objective = pytest.mark.parametrize("name", OBJECTIVES)


def small_network(*, dtype=torch.float64, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    return GatedNetwork(module.to(dtype))


def small_batch(*, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.randn(6, 3, generator=generator, dtype=dtype), torch.tensor([0, 1, 2, 0, 1, 2]))


def measure(name, network, gates, batch):
    return OBJECTIVES[name].measure(network, gates, batch)


def two_logits():
    """Logits are the two gates: at gates of 1 the classes are even."""
    module = nn.Linear(1, 2, bias=False)
    nn.init.ones_(module.weight)
    return GatedNetwork(module.double()), Batch(torch.ones(1, 1, dtype=torch.float64), torch.tensor([0]))


def test_every_objective_of_the_options_is_there():
    assert set(OBJECTIVES) == set(CtsOptions.model_fields["objective"].annotation.__args__)


# T15 --------------------------------------------------------------------------------------------------------


def test_the_two_directions_of_kl_are_what_their_names_say():
    network, batch = two_logits()
    gates = torch.tensor([LN9, 0.0], dtype=torch.float64)  # p_sparse = (0.9, 0.1), p_dense = (0.5, 0.5)
    assert measure("kl_reverse", network, gates, batch).item() == pytest.approx(0.3681, abs=5e-5)
    assert measure("kl_forward", network, gates, batch).item() == pytest.approx(0.5108, abs=5e-5)


@pytest.mark.parametrize(
    "name", ["kl_reverse", "kl_forward", "delta_loss", "feature_mse", "gradient_matching"]
)
def test_with_all_gates_open_nothing_is_left_to_ask_of_what_compares_with_the_teacher(name):
    network, batch = small_network(), small_batch()
    gates = torch.ones_like(network.weights).requires_grad_()
    value = measure(name, network, gates, batch)
    assert value.item() == pytest.approx(0, abs=1e-12)
    (slope,) = torch.autograd.grad(value, gates)
    if name != "delta_loss":  # which has a corner there
        assert slope.abs().max().item() < 1e-6


def test_task_loss_and_delta_loss_are_literal():
    network, batch = two_logits()
    gates = torch.tensor([LN9, 0.0], dtype=torch.float64)
    assert measure("task_loss", network, gates, batch).item() == pytest.approx(-math.log(0.9))
    ratio = math.log(0.9) / math.log(0.5)
    assert measure("delta_loss", network, gates, batch).item() == pytest.approx(abs(ratio - 1))


def test_the_gradient_norm_counts_every_parameter_through_its_gate():
    network, batch = small_network(), small_batch()
    gates = torch.linspace(0.1, 0.9, len(network.weights), dtype=torch.float64)
    weights = network.weights.clone().requires_grad_()
    others = {name: tensor.clone().requires_grad_() for name, tensor in network.others.items()}
    loss = nn.functional.cross_entropy(network(batch.inputs, gates * weights, others), batch.labels)
    gradients = torch.autograd.grad(loss, [weights, *others.values()])
    norm = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
    assert measure("gradient_norm", network, gates, batch).item() == pytest.approx(-norm)


@every_objective
def test_the_slope_by_the_gates_agrees_with_differences(name):
    network, batch = small_network(), small_batch()
    gates = torch.linspace(0.2, 0.8, len(network.weights), dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(measure(name, network, gates, batch), gates)
    for place in (0, 7, 20, 36):
        shift = torch.zeros_like(network.weights)
        shift[place] = 1e-6
        up, down = (measure(name, network, gates.detach() + s, batch).item() for s in (shift, -shift))
        assert slope[place].item() == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-8)


# T16 --------------------------------------------------------------------------------------------------------


@every_objective
def test_weights_buffers_and_gradients_of_the_network_stay(name):
    model = build_model(tiny_spec("resnet20", width=8), seed=0)
    network = GatedNetwork(model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    frozen = network.weights.clone()
    gates = torch.full_like(network.weights, 0.5).requires_grad_()
    pixels = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with batch_statistics(model):
        value = measure(name, network, gates, Batch(pixels, torch.tensor([0, 1, 2, 0])))
    (slope,) = torch.autograd.grad(value, gates)
    assert bool(slope.isfinite().all())
    assert bool(slope.any())
    assert torch.equal(network.weights, frozen)
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@every_objective
def test_an_objective_that_needs_labels_says_so(name):
    network, batch = small_network(), small_batch()._replace(labels=None)
    gates = torch.full_like(network.weights, 0.5)
    if OBJECTIVES[name].needs_labels:
        with pytest.raises(
            TicketError, match="needs labels, but there are none; without labels, choose kl_reverse"
        ):
            measure(name, network, gates, batch)
    else:
        assert measure(name, network, gates, batch).item() > 0


def test_all_kinds_of_relu_are_recorded_once_each():
    class Net(nn.Module):
        def forward(self, x):
            x = torch.relu(x)
            x = nn.functional.relu(x - 0.1)
            x = nn.ReLU(inplace=True)(x - 0.1)
            return (x - 0.1).relu() - 1

    with RecordedRelus() as recorded:
        Net()(torch.ones(1, 2))
    assert [round(output[0, 0].item(), 4) for output in recorded.outputs] == [1.0, 0.9, 0.8, 0.7]


def test_features_are_compared_sample_by_sample_after_standardising():
    network, batch = small_network(), small_batch()
    module = network._network
    scaled = network.weights.clone()
    scaled[:15] *= 3  # the first layer: all its features of a sample grow alike, but for the bias
    with torch.no_grad():
        module[0].bias.zero_()
    with RecordedRelus() as plain:
        network(batch.inputs, network.weights)
    with RecordedRelus() as grown:
        network(batch.inputs, scaled)
    torch.testing.assert_close(grown.outputs[0], 3 * plain.outputs[0])
    value = measure("feature_mse", network, scaled / network.weights, batch).item()
    first = [recorded.outputs[0] for recorded in (plain, grown)]
    rows = [(f - f.mean(1, keepdim=True)) / f.std(1, keepdim=True, unbiased=False) for f in first]
    assert (rows[0] - rows[1]).abs().nan_to_num().max().item() < 1e-6
    assert value > 0  # the biases of the later layers do not scale
