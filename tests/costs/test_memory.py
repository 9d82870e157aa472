from itertools import pairwise

import pytest
import torch
from torch import nn

from lottery_pipeline.costs.memory import PeakMemory, forward_memory, training_memory

IMAGES, HIDDEN = 2 * 4 * 4, 2 * 3 * 4  # bytes of two images of 2x2 pixels


def chain(length):
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False), *(nn.ReLU() for _ in range(length)))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("length", [1, 4])
def test_a_forward_pass_holds_the_images_and_two_layers(device, length):
    weights = 12 * 4
    peak = forward_memory(chain(length).to(device), (1, 2, 2), 2)
    assert peak == PeakMemory(weights + IMAGES + 2 * HIDDEN, weights, "modelled")


def test_a_training_step_holds_what_its_backward_pass_needs():
    # The worst moment is the backward pass of the log-softmax: the images, the outputs of three activations
    # and of the log-softmax, the gradients before and after it, the loss and the sum of its weights.
    weights = 12 * 4
    peak = training_memory(chain(3), (1, 2, 2), 2)
    assert peak == PeakMemory(
        weights + IMAGES + 3 * HIDDEN + HIDDEN + 2 * HIDDEN + 2 * 4, weights, "modelled"
    )


def test_each_layer_more_costs_a_training_step_its_output():
    peaks = [training_memory(chain(length), (1, 2, 2), 2).peak_bytes for length in (8, 9, 10)]
    assert [after - before for before, after in pairwise(peaks)] == [HIDDEN, HIDDEN]


def test_memory_grows_with_the_batch_but_the_weights_do_not():
    few, more, most = (training_memory(chain(2), (1, 2, 2), size) for size in (16, 17, 18))
    assert few.model_bytes == more.model_bytes == most.model_bytes == 12 * 4
    assert most.peak_bytes - more.peak_bytes == more.peak_bytes - few.peak_bytes > 0


def test_measuring_leaves_model_and_random_numbers_as_they_were():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 2)
    )
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    assert training_memory(model, (1, 4, 4), 2).peak_bytes > forward_memory(model, (1, 4, 4), 2).peak_bytes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
