"""A network outside this package is known by what it is, not by its name."""

import importlib
import sys
import textwrap

import pytest
import torch
from torch import nn
from torchvision.models import squeezenet

from lottery_pipeline.models.behaviour import digest_behaviour
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model, with_behaviour

NETS = """
    '''Networks.'''
    import torch
    from torch import nn
    from {package} import parts
    from .tools import widths

    SCALE = 0.5

    class Net(nn.Module):
        def __init__(self, n, k):
            super().__init__()
            self.a, self.act, self.drop = nn.Linear(n, widths()[0]), parts.activation(), nn.Dropout(0.1)
            self.norm, self.fc = nn.BatchNorm1d(8, eps=1e-5), nn.Linear(8, k)
            nn.init.xavier_uniform_(self.a.weight)

        def forward(self, x):
            # first layer
            x = self.norm(self.act(self.a(x.flatten(1))) * SCALE)
            if x.max() > 1e9:
                return self.never(x)
            return self.fc(self.drop(x))

    def make(num_classes, channels, image_size):
        '''Make it.'''
        return Net(channels * image_size[0] * image_size[1], num_classes)

    def unrelated(x):
        return x + 1

    if __name__ == "__main__":
        unrelated(1)
"""
PARTS = """
    from torch import nn

    def activation():
        return nn.ReLU()
"""
TOOLS = """
    def widths():
        return [8]
"""
SETTLED = [
    ("# first layer", "# layer one"),
    ("'''Make it.'''", "'''Make the network.'''"),
    ("'''Networks.'''", ""),
    ("return x + 1", "return x + 2"),
    ("self.act(self.a(x.flatten(1))) * SCALE", "(self.act( self.a(x.flatten(1)) ) * SCALE)"),
]
CHANGED = [
    ("nn.ReLU()", "nn.Sigmoid()", "source, computation"),
    ("Dropout(0.1)", "Dropout(0.2)", "source, computation"),
    ("eps=1e-5", "eps=1e-6", "source, computation"),
    ("SCALE = 0.5", "SCALE = 0.25", "source, computation"),
    ("xavier_uniform_", "xavier_normal_", "source, computation"),
    ("self.norm(", "torch.tanh(", "source, computation"),
    ("nn.Linear(8, k)", "nn.Linear(8, k, bias=False)", "source, tensors, computation"),
    ("self.never(x)", "self.fc(x)", "source"),
    ("return [8]", "return [4 + 4]", "source"),
    ("self.a.weight)", "self.a.weight, gain=2.0)", "source, computation"),
]


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Write the package anew, with words replaced, as another process would find it; return the factory."""
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "edited_nets"
    (package / "sub").mkdir(parents=True)

    def write(old="", new=""):
        texts = {
            "__init__": "",
            "parts": PARTS,
            "tools": TOOLS,
            "models": NETS.replace("{package}", package.name),
        }
        assert any(old in text for text in texts.values())
        for name, text in texts.items():
            (package / f"{name}.py").write_text(textwrap.dedent(text.replace(old, new) if old else text))
        for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
            del sys.modules[name]
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return "edited_nets.models:make"

    kept = sys.dont_write_bytecode
    yield write
    sys.dont_write_bytecode = kept
    for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
        del sys.modules[name]


@pytest.fixture
def specify(make_spec):
    def make(name, **rest):
        return with_behaviour(
            make_spec(name, **{"channels": 1, "size": (4, 4), "classes": 3, **rest}), allow_factory=name
        )

    return make


@pytest.mark.parametrize(("old", "new"), SETTLED)
def test_comments_docstrings_layout_and_unrelated_code_do_not_count(old, new, nets, specify):
    assert specify(nets()).behaviour == specify(nets(old, new)).behaviour


@pytest.mark.parametrize(("old", "new", "parts"), CHANGED)
def test_one_changed_word_anywhere_makes_another_network(old, new, parts, nets, specify):
    spec = specify(nets())
    name = nets(old, new)
    assert specify(name).behaviour != spec.behaviour
    with pytest.raises(ModelError, match=f"the code of model 'edited_nets.models:make' has .* {parts}\\)"):
        build_model(spec, seed=0, allow_factory=name)


def test_the_state_of_the_process_does_not_count(nets, specify):
    first = specify(nets())
    torch.manual_seed(3)
    assert specify(nets()).behaviour == first.behaviour
    assert build_model(first, seed=0, allow_factory=first.name).network.fc.out_features == 3


def test_a_network_that_no_seed_governs_is_refused_in_one_sentence(nets, specify):
    name = nets(
        "nn.init.xavier_uniform_(self.a.weight)",
        "self.register_buffer('noise', torch.from_numpy(__import__('numpy').random.default_rng().random(2)))",
    )
    with pytest.raises(ModelError, match=r"starts with other numbers whenever it is built \(network.noise\)"):
        specify(name)


def test_weights_that_a_factory_reads_from_a_file_count(nets, specify, tmp_path):
    path = tmp_path / "start.pt"
    edit = ("nn.init.xavier_uniform_(self.a.weight)", f"self.a.load_state_dict(torch.load({str(path)!r}))")
    behaviours = []
    for value in (0.1, 0.2):
        torch.save({"weight": torch.full((8, 16), value), "bias": torch.zeros(8)}, path)
        behaviours.append(specify(nets(*edit)).behaviour)
    assert behaviours[0] != behaviours[1]
    assert behaviours[0].split("-")[:3] == behaviours[1].split("-")[:3]


def test_networks_of_torchvision_are_known_by_what_they_compute(specify, monkeypatch):
    name = "torchvision:squeezenet1_1"
    first = specify(name, channels=3, size=(32, 32))
    assert first.behaviour.startswith("0" * 16)
    build_model(first, seed=0, device="meta")
    monkeypatch.setattr("lottery_pipeline.models.registry._behaviours", {})
    assert specify(name, channels=3, size=(32, 32)).behaviour == first.behaviour
    original = squeezenet.Fire.forward
    monkeypatch.setattr(squeezenet.Fire, "forward", lambda self, x: original(self, x) * 1.5)
    monkeypatch.setattr("lottery_pipeline.models.registry._behaviours", {})
    with pytest.raises(ModelError, match=r"has changed since this was made \(its computation\)"):
        build_model(first, seed=0, device="meta")


def test_an_argument_that_is_not_given_is_as_good_as_none():
    """So a newer torch, whose own layers pass one more, gives the same behaviour."""

    def build(**rest):
        layer = nn.Linear(4, 3)
        nn.init.normal_(layer.weight, **rest)
        return nn.Sequential(nn.Flatten(), layer)

    digests = [
        digest_behaviour(lambda rest=rest: build(**rest), (1, 2, 2), meta=False)
        for rest in ({}, {"generator": None}, {"std": 0.5})
    ]
    assert digests[0] == digests[1]
    assert digests[0]["computation"] != digests[2]["computation"]


def test_built_in_networks_have_no_behaviour_of_their_own(specify):
    assert specify("lenet_300_100").behaviour is None


def test_the_behaviour_is_that_of_the_full_network_for_its_images(nets, specify):
    spec = specify(nets())
    assert specify(spec.name, ignore_layers=("fc",)).behaviour == spec.behaviour
    assert specify(spec.name, classes=4).behaviour != spec.behaviour
    assert spec.for_network("lenet_300_100").behaviour is None
