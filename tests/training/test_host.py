import pytest
import torch
from torch import nn

from lottery_pipeline.models.memory_format import _make_contiguous
from lottery_pipeline.training.host import HostState, WaitError, WaitsRefused, find_hook

NUMBERS = torch.tensor([3.0, 1.0, 2.0])
META = torch.empty(3, device="meta")


@pytest.mark.parametrize(
    "operation",
    [
        lambda: NUMBERS.sum().item(),
        lambda: float(NUMBERS[0]),
        lambda: bool((NUMBERS > 1).any()),
        lambda: NUMBERS.nonzero(),
        lambda: NUMBERS[NUMBERS > 1],
        lambda: NUMBERS.clone().index_put_((NUMBERS > 1,), torch.ones(2)),
        lambda: NUMBERS.masked_select(NUMBERS > 1),
        lambda: NUMBERS.unique(),
        lambda: NUMBERS.long().bincount(),
        lambda: torch.equal(NUMBERS, NUMBERS),
        lambda: NUMBERS.repeat_interleave(torch.tensor([1, 2, 1])),
        lambda: torch.tensor([1.0]),
        lambda: NUMBERS.to("meta"),
        lambda: META.copy_(NUMBERS),
    ],
)
def test_what_makes_the_host_wait_is_refused(operation):
    with (
        pytest.raises(WaitError, match=r"^aten::\w+(\.\w+)? makes the host wait for the device$"),
        WaitsRefused("cpu"),
    ):
        operation()


def test_a_wait_inside_the_backward_pass_is_refused():
    class Reading(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * gradient.item()

    value = Reading.apply(torch.ones((), requires_grad=True))
    with pytest.raises(WaitError), WaitsRefused("cpu"):
        value.backward()


def test_other_operations_and_other_devices_are_none_of_its_business():
    with WaitsRefused("cpu"):
        assert NUMBERS.index_select(0, torch.arange(2)).shape == (2,)
        assert NUMBERS[torch.arange(3)].to(torch.float64).dtype == torch.float64
        NUMBERS.clone().masked_fill_(NUMBERS > 1, 0.0)
    with WaitsRefused("cuda"):
        assert NUMBERS.max().item() == 3


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.count, self.seen, self.names, self.kept = 0, [1], {"a": NUMBERS}, NUMBERS.clone()
        self.register_buffer("mean", torch.zeros(2))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda module: setattr(module, "count", 1), "count"),
        (lambda module: setattr(module, "count", 0.0), "count"),
        (lambda module: setattr(module, "last", NUMBERS), "last"),
        (lambda module: setattr(module, "kept", NUMBERS.clone()), "kept"),
        (lambda module: delattr(module, "kept"), "kept"),
        (lambda module: module.kept.add_(1), "kept"),
        (lambda module: module.seen.append(2), "seen"),
        (lambda module: module.names.update(a=NUMBERS.clone()), "names"),
        (lambda module: setattr(module, "mean", torch.zeros(2)), "_buffers"),
    ],
)
def test_a_changed_attribute_is_told_and_put_back(change, told):
    module = Stateful()
    before = HostState([module], "cuda")
    assert before.find_change() == ""

    change(module)

    assert before.find_change() == f"the step changes {told} of Stateful"
    before.restore()
    assert before.find_change() == ""
    assert (module.count, module.seen, module.kept.tolist()) == (0, [1], [3.0, 1.0, 2.0])


def test_changes_in_place_are_those_of_the_device():
    module = Stateful()
    before = HostState([module], "cuda")
    module.mean.add_(1)
    module.count = int("0")
    assert before.find_change() == ""


@pytest.mark.parametrize(
    "add",
    [
        lambda layer: layer.register_forward_hook(lambda *_: None),
        lambda layer: layer.register_forward_pre_hook(lambda *_: None),
        lambda layer: layer.register_full_backward_hook(lambda *_: None),
        lambda layer: layer.register_full_backward_pre_hook(lambda *_: None),
        lambda layer: layer.weight.register_hook(lambda _: None),
    ],
)
def test_a_hook_is_found_until_it_is_removed(add):
    model = nn.Sequential(nn.Linear(2, 2))
    handle = add(model[0])
    assert find_hook(list(model.modules())) == "a hook of Linear would not be called"
    handle.remove()
    assert find_hook(list(model.modules())) == ""


def test_hooks_of_the_project_are_no_obstacle():
    model = nn.Linear(2, 2)
    model.register_forward_pre_hook(_make_contiguous)
    assert find_hook([model]) == ""


def test_draws_on_the_host_are_told_but_not_those_of_the_device():
    before, on_cpu = HostState([], "cuda"), HostState([], "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.rand(1)
        assert before.find_change() == "the step draws from the cpu generator of the host"
        assert on_cpu.find_change() == ""
