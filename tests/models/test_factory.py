import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model, ensure_buildable

SOURCE = """
import random

import numpy as np
import torch
from torch import nn

calls = []
drawn = random.random(), np.random.rand(), float(torch.rand(()))

def tiny(num_classes, channels=3, image_size=(8, 8)):
    calls.append((num_classes, channels, image_size))
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size[0] * image_size[1], num_classes))

def anything(**options):
    return tiny(**options)

def only_classes(num_classes):
    return tiny(num_classes, 1)

class Net(nn.Module):
    def __init__(self, *, num_classes, width=4):
        super().__init__()
        self.fc = nn.Linear(64, num_classes)
        self.offset = torch.ones(1)  # neither parameter nor buffer

    def forward(self, images):
        return self.fc(images.flatten(1)) + self.offset

def no_classes(width):
    return None

def greedy(num_classes, weights):
    return None

def broken(num_classes):
    raise RuntimeError("no luck")

def not_a_module(num_classes):
    return "network"

def other_logits(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes + 1))

def other_images(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(65, num_classes))

def pair(num_classes):
    return nn.Sequential(nn.Flatten(), nn.LSTM(64, num_classes))

def lazy(num_classes):
    return nn.Sequential(
        nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes)
    )

class FirstPass(nn.Module):
    # Makes its layer, with numbers from everywhere, when it sees the first images.
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes, self.fc = num_classes, None
        self.register_buffer("noise", torch.rand(3))

    def forward(self, images):
        if self.fc is None:
            self.fc = nn.Linear(images[0].numel(), self.num_classes)
            with torch.no_grad():
                self.fc.bias.fill_(random.random())
                self.fc.weight[0].copy_(torch.from_numpy(np.random.normal(size=images[0].numel())))
        return self.fc(images.flatten(1))

def noisy(num_classes):
    network = FirstPass(num_classes)
    network.register_buffer("scale", torch.tensor(random.gauss(1, 0.1)))
    network.register_buffer("shift", torch.from_numpy(np.random.rand(2)))
    return network

number = 3
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "users_nets.py").write_text(SOURCE)
    (tmp_path / "failing_nets.py").write_text("raise RuntimeError('at import')\n")
    (tmp_path / "needy_nets.py").write_text("import a_missing_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "users_nets"
    for name in ("users_nets", "failing_nets", "needy_nets"):
        sys.modules.pop(name, None)


def build(make_spec, name, *, seed=0, narrowed=(), **rest):
    spec = make_spec(name, channels=1, size=(8, 8), narrowed=narrowed)
    return build_model(spec, seed=seed, allow_factory=name, **rest)


@pytest.mark.parametrize("factory", ["tiny", "anything", "only_classes", "Net"])
def test_a_users_factory_gets_the_arguments_it_accepts(factory, nets, make_spec):
    model = build(make_spec, f"{nets}:{factory}")
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert all(module.training for module in model.modules())
    if factory != "Net":
        assert sys.modules[nets].calls == [(10, 1, (8, 8))]


@pytest.mark.parametrize("allow", [None, "users_nets:anything", "resnet20"])
def test_code_that_was_not_asked_for_is_never_imported(allow, nets, make_spec):
    with pytest.raises(ModelError, match="imported only on request"):
        build_model(make_spec(f"{nets}:tiny"), seed=0, allow_factory=allow)
    assert nets not in sys.modules


def test_a_users_network_can_be_built_on_meta(nets, make_spec):
    model = build(make_spec, f"{nets}:tiny", device="meta")
    assert all(parameter.is_meta for parameter in model.parameters())


def disturb(seed):
    """Bring all generators that a model may draw from into another state."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@pytest.mark.parametrize("factory", ["tiny", "lazy", "noisy"])
def test_all_that_a_users_network_draws_depends_on_the_seed_alone(factory, nets, make_spec):
    states = []
    for number, seed in enumerate((7, 7, 8)):
        disturb(number)
        states.append(build(make_spec, f"{nets}:{factory}", seed=seed).state_dict())
    first, again, other = states
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key in first if not key.startswith("network.1.") or factory != "lazy"]  # batch norm
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


def test_building_leaves_the_random_state_of_the_process_alone(nets, make_spec):
    disturb(3)
    expected = torch.rand(()), np.random.rand(), random.random()
    disturb(3)
    build(make_spec, f"{nets}:noisy")
    assert (torch.rand(()), np.random.rand(), random.random()) == expected


def test_what_a_module_draws_while_it_is_imported_is_the_same_in_every_run(nets):
    draws = []
    for seed in (1, 2):
        disturb(seed)
        ensure_buildable(f"{nets}:tiny")
        draws.append(sys.modules.pop(nets).drawn)
    assert draws[0] == draws[1]


def test_a_lazy_network_can_be_narrowed(nets, make_spec):
    widths = (("network.0", 1, 5), ("network.1", 5, 5), ("network.4", 180, 10))
    state = build(make_spec, f"{nets}:lazy", narrowed=widths).state_dict()
    assert state["network.0.weight"].shape == (5, 1, 3, 3)
    assert state["network.4.weight"].shape == (10, 180)


@pytest.mark.parametrize(
    ("factory", "fault"),
    [
        ("missing", "has no function or class 'missing'"),
        ("number", "has no function or class 'number'"),
        ("no_classes", "does not accept num_classes; it is called as factory"),
        ("greedy", "also requires weights; it is called as factory"),
        ("broken", r"the factory failed on .*RuntimeError\('no luck'\)"),
        ("not_a_module", "returned a str, not a torch.nn.Module"),
        ("other_logits", r"logits of shape \(2, 10\), not to \(2, 11\)"),
        ("other_images", "does not take images of 8x8 pixels and 1 channels"),
        ("pair", r"logits of shape \(2, 10\), not to tuple"),
    ],
)
def test_faults_of_a_factory_are_named(factory, fault, nets, make_spec):
    with pytest.raises(ModelError, match=fault):
        build(make_spec, f"{nets}:{factory}")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("not_there_at_all:net", "no module 'not_there_at_all'"),
        ("lottery_pipeline.not_there:net", "no module 'lottery_pipeline.not_there'"),
        ("failing_nets:net", "importing 'failing_nets' failed: RuntimeError"),
        ("needy_nets:net", "'needy_nets' needs 'a_missing_package', which is missing"),
        ("users_nets:greedy", "also requires weights"),
    ],
)
def test_a_factory_that_cannot_be_imported_stops_before_the_run(name, fault, nets):
    with pytest.raises(ModelError, match=fault):
        ensure_buildable(name)


def test_a_sound_factory_is_buildable(nets):
    assert ensure_buildable(f"{nets}:tiny") is None
    assert issubclass(sys.modules[nets].Net, nn.Module)
