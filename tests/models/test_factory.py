import sys

import pytest
import torch
from torch import nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model, ensure_buildable

SOURCE = """
import torch
from torch import nn

calls = []

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


def build(make_spec, name, **rest):
    return build_model(make_spec(name, channels=1, size=(8, 8)), seed=0, allow_factory=name, **rest)


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


def test_a_users_network_is_seeded(nets, make_spec):
    first, again = (build(make_spec, f"{nets}:tiny").state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)


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
