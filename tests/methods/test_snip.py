import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lottery_pipeline.methods.snip import snip_scores
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.sparsity import keep_top_k
from tests.reference.snip_naive import snip_naive


def build_mlp():
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)]
    network = nn.Sequential(nn.Flatten(), *layers).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
    return network


def draw_batch(count=7):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 2, 2, generator=generator).double(), torch.arange(count) % 3


def test_two_weights_by_hand():
    # y = x1 + 2 x2 at w = (1, 1), x = (1, 2): 3; L = y^2, g = (6, 12).
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    scores = snip_scores(
        nn.Sequential(nn.Flatten(), model),
        torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1),
        torch.zeros(1),
        loss=lambda outputs, labels: (outputs.squeeze(1) - labels).square().mean(),
    )
    assert scores["1.weight"].tolist() == [[6.0, 12.0]]
    assert keep_top_k(scores, 1)["1.weight"].tolist() == [[False, True]]


@pytest.mark.parametrize("batch_size", [256, 2])
def test_scores_are_the_slope_of_the_loss_in_the_mask(batch_size):
    model, (images, labels) = build_mlp(), draw_batch()
    weights = {name: weight.detach() for name, weight in prunable_parameters(model).items()}

    def loss(tensors):
        return cross_entropy(functional_call(model, tensors, (images,)), labels)

    gates = {name: torch.ones_like(weight, requires_grad=True) for name, weight in weights.items()}
    slopes = torch.autograd.grad(loss({n: w * gates[n] for n, w in weights.items()}), list(gates.values()))
    differences = snip_naive(loss, weights)
    scores = snip_scores(model, images, labels, batch_size=batch_size)
    for (name, score), slope in zip(scores.items(), slopes, strict=True):
        assert torch.allclose(score, slope.abs(), rtol=0, atol=1e-12)
        assert torch.allclose(score, differences[name], rtol=0, atol=1e-6)


def unit_weight():
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.ones_(model[0].weight)
    return model


def mean_output(outputs, labels):
    return outputs.mean()


def test_gradients_are_summed_before_the_absolute_value_is_taken():
    # Two images that pull in opposite directions; magnitudes summed one by one would give 1.
    images = torch.tensor([[1.0], [-1.0]])
    scores = snip_scores(unit_weight(), images, torch.zeros(2), batch_size=1, loss=mean_output)
    assert scores["0.weight"].item() == 0


def test_every_image_counts_the_same_in_unequal_micro_batches():
    images = torch.tensor([[1.0], [2.0], [6.0]])
    scores = snip_scores(unit_weight(), images, torch.zeros(3), batch_size=2, loss=mean_output)
    assert scores["0.weight"].item() == pytest.approx(3.0)
