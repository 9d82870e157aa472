import pytest
import torch
from torch import nn

from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.costs.training_flops import count_training_flops, count_training_macs

FIRST = 2 * 2 * 16 * 9  # channels in and out, 4x4 pixels, 3x3 taps
SECOND = 2 * 3 * 16 * 9


def convolutions():
    return nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1))


def test_a_layer_whose_input_needs_no_gradient_costs_two_forward_passes():
    assert count_training_flops(nn.Conv2d(2, 2, 3, padding=1), (2, 4, 4), 1) == 2 * (2 * FIRST)


def test_a_layer_whose_input_needs_a_gradient_costs_three():
    assert count_training_flops(convolutions(), (2, 4, 4), 1) == 2 * (2 * FIRST + 3 * SECOND)


def test_a_frozen_layer_needs_no_gradient_of_its_weight():
    model = convolutions()
    model[0].requires_grad_(False)
    assert count_training_flops(model, (2, 4, 4), 1) == 2 * (FIRST + 2 * SECOND)


def test_the_weight_gradient_of_a_grouped_convolution_costs_one_forward_pass():
    depthwise = 4 * 64 * 9  # one input channel for each of 4 filters, 8x8 pixels, 3x3 taps
    model = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False) for _ in range(2)))
    assert count_training_macs(model, (4, 8, 8)) == (2 + 3) * depthwise


def test_a_transposed_convolution_counts_the_pixels_it_reads():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ConvTranspose2d(2, 3, 3, stride=2, groups=1))
    assert count_training_macs(model, (2, 4, 4)) == 2 * (2 * 2 * 16) + 3 * (2 * 3 * 9 * 16)


def test_macs_of_an_image_are_half_its_flops_at_any_batch():
    model = convolutions()
    assert count_training_macs(model, (2, 4, 4)) == 2 * FIRST + 3 * SECOND
    assert count_training_flops(model, (2, 4, 4), 6) == 6 * 2 * count_training_macs(model, (2, 4, 4))


def test_batch_norm_on_single_pixels_can_be_counted():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).to("meta")
    assert count_training_macs(model, (1, 2, 2)) == 2 * 12 + 3 * 6


def test_training_costs_less_than_three_forward_passes():
    model = nn.Sequential(convolutions(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    forward = total_macs(count_macs(model, (2, 4, 4)))
    assert 2 * forward < count_training_macs(model, (2, 4, 4)) < 3 * forward


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_model_and_random_numbers_as_they_were(training):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 2)
    )
    model.train(training)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    with torch.no_grad():
        assert count_training_flops(model, (1, 4, 4), 3) > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training == training
