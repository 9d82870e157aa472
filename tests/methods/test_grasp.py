import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lottery_pipeline.methods.grasp import grasp_scores
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.sparsity import keep_top_k
from lottery_pipeline.tickets.errors import TicketError
from tests.reference.grasp_naive import grasp_naive


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


def build_quadratic(theta):
    """L = 1/2 theta' diag(1, 3) theta: an image for each coordinate, the labels on the diagonal."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
    model[1].weight.data = torch.tensor([theta])
    images, diagonal = torch.eye(2).reshape(2, 2, 1, 1), torch.tensor([1.0, 3.0])

    def loss(outputs, labels):
        return (labels * outputs.squeeze(1).square()).mean()

    return model, images, diagonal, loss


@pytest.mark.parametrize("batch_size", [256, 1])
def test_a_quadratic_by_hand(batch_size):
    # g = (1, 3), H g = (1, 9), theta (H g) = (1, 9): the second weight is kept.
    model, *batch, loss = build_quadratic([1.0, 1.0])
    scores = grasp_scores(model, *batch, temperature=1.0, loss=loss, batch_size=batch_size)
    assert scores["1.weight"].tolist() == [[1.0, 9.0]]
    assert keep_top_k(scores, 1)["1.weight"].tolist() == [[False, True]]


def test_removing_a_weight_with_a_high_score_lowers_the_gradient_norm():
    theta, hessian = torch.tensor([1.0, 1.0]), torch.diag(torch.tensor([1.0, 3.0]))
    without = [(hessian @ theta.where(torch.arange(2) != index, 0)).norm() for index in range(2)]
    model, *batch, loss = build_quadratic(theta.tolist())
    scores = grasp_scores(model, *batch, temperature=1.0, loss=loss)["1.weight"].flatten()
    assert without[1] < without[0]
    assert scores[1] > scores[0]


@pytest.mark.parametrize("batch_size", [256, 2])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_scores_are_those_of_the_whole_hessian(batch_size, temperature):
    model, (images, labels) = build_mlp(), draw_batch()
    weights = {name: weight.detach() for name, weight in prunable_parameters(model).items()}

    def loss(tensors):
        return cross_entropy(functional_call(model, tensors, (images,)) / temperature, labels)

    expected = grasp_naive(loss, weights)
    scores = grasp_scores(model, images, labels, batch_size=batch_size, temperature=temperature)
    assert any(bool((score < 0).any()) for score in expected.values())
    for name, score in scores.items():
        assert torch.allclose(score, expected[name], rtol=1e-9, atol=1e-12)


def test_scores_are_differences_of_gradients_along_the_gradient():
    model, (images, labels) = build_mlp(), draw_batch()
    weights = {name: weight.detach() for name, weight in prunable_parameters(model).items()}

    def gradients(at):
        leaves = {name: weight.clone().requires_grad_() for name, weight in at.items()}
        loss = cross_entropy(functional_call(model, leaves, (images,)), labels)
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    slope, step = gradients(weights), 1e-5
    above, below = (
        gradients({name: weight + sign * step * slope[name] for name, weight in weights.items()})
        for sign in (1, -1)
    )
    for name, score in grasp_scores(model, images, labels, temperature=1.0).items():
        product = (above[name] - below[name]) / (2 * step)
        assert torch.allclose(score, weights[name] * product, rtol=0, atol=1e-8)


def test_absolute_scores_have_no_sign():
    model, batch = build_mlp(), draw_batch()
    signed, absolute = (grasp_scores(model, *batch, absolute=choice) for choice in (False, True))
    assert any(bool((score < 0).any()) for score in signed.values())
    assert all(torch.equal(absolute[name], score.abs()) for name, score in signed.items())


def test_the_temperature_changes_the_ranking():
    model, batch = build_mlp(), draw_batch()
    default, hot, cold = (
        grasp_scores(model, *batch, **options)["5.weight"].flatten()
        for options in ({}, {"temperature": 200.0}, {"temperature": 1.0})
    )
    assert torch.equal(default, hot)
    assert hot.argsort().tolist() != cold.argsort().tolist()


def test_a_network_without_second_derivatives_is_refused_in_one_sentence():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Hardsigmoid(), nn.Linear(3, 2))
    images, labels = torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 0, 1])
    with pytest.raises(
        TicketError, match="cannot be differentiated as often as the method requires: derivative for"
    ):
        grasp_scores(model, images, labels)
