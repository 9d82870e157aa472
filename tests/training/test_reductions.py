"""What a process does alone; sums over several are tested in test_parallel."""

import torch

from lottery_pipeline.training.reductions import (
    _Copy,
    _Sum,
    add_up,
    add_up_for_parts,
    add_up_gradients_,
    average,
)


def test_a_process_alone_gets_its_own_tensors_back():
    tensor = torch.ones(2)

    assert add_up(tensor) is tensor
    assert add_up_for_parts(tensor) is tensor
    assert average(tensor, 3) is tensor


def test_sums_can_be_differentiated_twice():
    inputs = torch.linspace(1, 2, 3, dtype=torch.float64).requires_grad_()

    assert torch.autograd.gradgradcheck(lambda x: _Sum.apply(x).pow(3), (inputs,))
    assert torch.autograd.gradgradcheck(lambda x: _Copy.apply(x).pow(3), (inputs,))


def test_gradients_keep_their_places_and_a_missing_one_stays_missing():
    wide, unused, last = (torch.zeros(shape, requires_grad=True) for shape in ((2, 3, 2, 2), (4,), (2,)))
    wide.grad = torch.arange(24.0).view(2, 2, 2, 3).permute(0, 3, 1, 2)  # channels last
    last.grad = torch.tensor([6.0, 8.0])
    before = wide.grad.clone()

    add_up_gradients_([wide, unused, last], torch.tensor(2.0), is_mean=True)

    assert torch.equal(wide.grad, before / 2)
    assert unused.grad is None
    assert last.grad.tolist() == [3.0, 4.0]
