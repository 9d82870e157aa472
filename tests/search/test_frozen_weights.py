import math

import pytest
import torch
from torch import nn

from lottery_pipeline.options import FrozenWeightOptions
from lottery_pipeline.search.frozen_weights import ScoreLearner, sgd_recipe, signed_constant, weight_change
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.training.recipe import Recipe


def small_network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GatedNetwork(nn.Linear(3, 2, bias=False))


def straight_through(scores):
    return (scores > 0).to(scores) + (scores - scores.detach())


def test_a_signed_constant_keeps_the_sign_and_has_the_size_of_kaiming():
    weight = torch.tensor([[0.3, -0.1], [-2.0, 0.0]])
    assert signed_constant(weight).tolist() == [[1.0, -1.0], [-1.0, 1.0]]  # sqrt(2 / 2)
    convolution = signed_constant(torch.randn(4, 2, 3, 3))
    assert convolution.abs().unique().tolist() == [pytest.approx(math.sqrt(2 / 18))]


def test_weights_stay_unless_they_are_asked_to_change():
    weight = torch.tensor([[0.3, -0.1]])
    kept = weight_change(FrozenWeightOptions(density=0.1))(weight)
    assert torch.equal(kept, weight)
    assert kept.data_ptr() != weight.data_ptr()
    changed = weight_change(FrozenWeightOptions(density=0.1, weights="signed_constant"))(weight)
    assert changed.tolist() == [[1.0, -1.0]]


def test_a_step_is_sgd_on_the_gradient_that_reaches_the_gates():
    network, inputs, labels = small_network(), torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([1])
    scores = torch.tensor([0.5, -0.5, 0.2, 0.1, -0.1, 0.3])
    recipe = Recipe(learning_rate=0.1, momentum=0.9, weight_decay=0.01, iterations=2)
    learner = ScoreLearner(network, recipe, scores.clone(), straight_through)
    expected, velocity = scores.clone(), torch.zeros(6)
    for number in range(2):
        gates = (expected > 0).float().requires_grad_()
        loss = nn.functional.cross_entropy(network(inputs, network.weights * gates), labels)
        (slope,) = torch.autograd.grad(loss, gates)
        learner.prepare(number)
        assert learner.step(inputs, labels, 0.1).tolist() == [pytest.approx(loss.item())]
        velocity = 0.9 * velocity + slope + 0.01 * expected
        expected = expected - 0.1 * velocity
        torch.testing.assert_close(learner.scores, expected)


def test_the_state_of_a_learner_can_be_taken_up_by_another():
    recipe = Recipe(learning_rate=0.1, iterations=4)
    inputs, labels = torch.ones(1, 3), torch.tensor([0])
    first = ScoreLearner(small_network(), recipe, torch.linspace(-1, 1, 6), straight_through)
    first.prepare(0)
    first.step(inputs, labels, 0.1)
    second = ScoreLearner(small_network(), recipe, torch.zeros(6), straight_through)
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    for learner in (first, second):
        learner.prepare(1)
        learner.step(inputs, labels, 0.1)
    assert torch.equal(first.scores, second.scores)


def test_both_methods_learn_by_sgd_with_a_cosine():
    recipe = Recipe(iterations=10, **sgd_recipe(FrozenWeightOptions(density=0.1, momentum=0.8)))
    assert (recipe.optimiser, recipe.momentum, recipe.weight_decay) == ("sgd", 0.8, 1e-4)
    assert recipe.schedule == "cosine"
