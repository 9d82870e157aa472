"""The arithmetic of the synchronised batch norm; that it sees all processes is tested in test_parallel."""

import pytest
import torch
from torch import nn

from lottery_pipeline.training.parallel import Team
from lottery_pipeline.training.synced_norm import SyncedNorms

SHAPES = {"1d": (nn.BatchNorm1d, (6, 3)), "2d": (nn.BatchNorm2d, (4, 3, 2, 2))}


def draw(shape, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0)).mul(3).add(2)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": None}]
)
def test_it_normalises_as_torch_does(kind, options):
    make, shape = SHAPES[kind]
    ours, theirs = make(3, **options).double(), make(3, **options).double()
    inputs, others = draw(shape).requires_grad_(), draw(shape).requires_grad_()

    for _ in range(2):
        with SyncedNorms(Team(0, 1)):
            found = ours(inputs)
        expected = theirs(others)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found.pow(3).sum().backward()
    expected.pow(3).sum().backward()

    torch.testing.assert_close(inputs.grad, others.grad, rtol=1e-10, atol=1e-10)
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad, rtol=1e-10, atol=1e-10)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), buffer, rtol=1e-12, atol=1e-12)


def test_it_can_be_differentiated_twice():
    norm = nn.BatchNorm1d(3).double()
    inputs = draw((5, 3)).requires_grad_()
    with SyncedNorms(Team(0, 1)):
        assert torch.autograd.gradgradcheck(lambda x: norm(x).sin(), (inputs,))


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_float32_loses_no_digits_to_a_large_mean(offset):
    inputs = draw((64, 3), torch.float32) + offset
    with SyncedNorms(Team(0, 1)):
        found = nn.BatchNorm1d(3)(inputs)
    expected = nn.BatchNorm1d(3).double()(inputs.double())

    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-3 if offset else 1e-6)


def test_bfloat16_stays_bfloat16():
    inputs = draw((8, 3, 2, 2), torch.bfloat16)
    norm = nn.BatchNorm2d(3)
    with SyncedNorms(Team(0, 1)):
        found = norm(inputs)

    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, nn.BatchNorm2d(3)(inputs), rtol=0, atol=0.02)
    assert norm.running_mean.dtype == torch.float32


def test_copies_of_a_batch_count_once_in_the_running_variance():
    inputs = draw((2, 3))
    norm = nn.BatchNorm1d(3, momentum=1.0).double()
    with SyncedNorms(Team(0, 3, replicas=3)):
        norm(inputs.repeat(3, 1))

    torch.testing.assert_close(norm.running_var, inputs.var(0), rtol=1e-12, atol=0)


def test_other_layers_and_evaluation_stay_as_they_are():
    layers = [nn.BatchNorm2d(3).eval(), nn.GroupNorm(1, 3), nn.LayerNorm((3, 2, 2)), nn.InstanceNorm2d(3)]
    inputs = draw((4, 3, 2, 2), torch.float32)
    for layer in layers:
        with SyncedNorms(Team(0, 1)):
            found = layer(inputs)
        assert torch.equal(found, layer(inputs))
