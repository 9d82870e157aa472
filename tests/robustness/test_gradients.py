import pytest
import torch
from torch import nn

from lottery_pipeline.robustness.gradients import (
    cross_entropy,
    differentiate,
    gradients_counted,
    negative_margin,
    weights_frozen,
)
from tests.robustness.linear_models import LinearNet, draw_pixels, predict


def test_the_gradient_of_a_linear_margin_is_the_difference_of_the_weights():
    model, images = LinearNet(2), draw_pixels(5)
    labels = predict(model, images)

    logits, losses, gradient = differentiate(model, images, labels, negative_margin)

    assert torch.equal(logits, model(images).detach())
    assert torch.allclose(losses, logits[torch.arange(5), 1 - labels] - logits[torch.arange(5), labels])
    assert torch.allclose(gradient.flatten(1), (model.weight[1 - labels] - model.weight[labels]).detach())
    assert not logits.requires_grad
    assert not images.requires_grad


def test_no_weight_gets_a_gradient():
    model, images = LinearNet(3), draw_pixels(2)

    differentiate(model, images, torch.tensor([0, 1]), cross_entropy)

    assert model.weight.grad is None


def test_the_margin_is_negative_for_a_right_image():
    logits = torch.tensor([[3.0, 1.0, 2.0], [1.0, 5.0, 2.0]])

    assert negative_margin(logits, torch.tensor([0, 2])).tolist() == [-1.0, 3.0]


def test_frozen_weights_are_restored_as_they_were_also_after_an_error():
    model = LinearNet(2)
    model.bias.requires_grad_(False)

    def break_down() -> None:
        with weights_frozen(model):
            assert not any(parameter.requires_grad for parameter in model.parameters())
            raise KeyError

    with pytest.raises(KeyError):
        break_down()

    assert model.weight.requires_grad
    assert not model.bias.requires_grad


def test_only_passes_that_can_be_differentiated_are_counted():
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), draw_pixels(5)

    with weights_frozen(model), gradients_counted(model) as counter:
        differentiate(model, images, torch.zeros(5, dtype=torch.int64), cross_entropy)
        model(images)
        predict(model, images)
    model(images.requires_grad_())

    assert counter.gradients == 5
