import copy

import pytest
import torch

from lottery_pipeline.models.blocks import list_candidates
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.reduction import remove_blocks_
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.ties import find_tied_layers, find_ties

TIES = {
    "tied": {"network.b.weight": "network.a.weight"},
    "Embedded": {"network.read.weight": "network.embedding.weight"},
    "twice": {
        f"network.3.{name}": f"network.2.{name}"
        for name in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    }
    | {"network.3.1.num_batches_tracked": "network.2.1.num_batches_tracked"},
}
PRUNABLE = {
    "tied": {"network.a.weight": 256, "network.fc.weight": 48},
    "Embedded": {"network.embedding.weight": 32, "network.pixels.weight": 128, "network.fc.weight": 12},
    "twice": {"network.0.weight": 54, "network.2.0.weight": 324, "network.4.2.weight": 18},
}
every_network = pytest.mark.parametrize("network", list(TIES))


@pytest.fixture
def build(make_spec):
    def make(network, *, seed=0, device="cpu", **rest):
        name = f"tests.user_networks:{network}"
        spec = make_spec(name, channels=1, size=(4, 4), classes=3, **rest)
        return build_model(spec, seed=seed, device=device, allow_factory=name)

    return make


@every_network
def test_a_tied_tensor_is_one_under_its_first_name(network, build):
    model = build(network)
    assert find_ties(model) == TIES[network]
    sizes = {name: weight.numel() for name, weight in prunable_parameters(model).items()}
    assert sizes == PRUNABLE[network]
    assert not TIES[network].keys() & model.state_dict().keys()
    assert set(TIES[network].values()) <= model.state_dict().keys()


@every_network
@pytest.mark.parametrize(
    "move",
    [
        copy.deepcopy,
        lambda model: model.to("meta"),
        lambda model: model.to("meta").to_empty(device="cpu"),
        lambda model: model.double(),
        lambda model: model.to(memory_format=torch.channels_last),
    ],
    ids=["copy", "meta", "and back", "type", "layout"],
)
def test_tied_tensors_stay_tied_wherever_the_network_goes(network, move, build):
    model = move(build(network))
    assert find_ties(model) == TIES[network]
    assert find_ties(build(network, device="meta")) == TIES[network]


@every_network
def test_a_state_fills_all_places_of_a_tied_tensor(network, build):
    source, target = build(network, seed=1), build(network, seed=2)
    state = source.state_dict()
    target.load_state_dict(state)
    assert list(state) == list(target.state_dict())
    images = torch.rand(5, 1, 4, 4)
    assert torch.equal(target.eval()(images), source.eval()(images))
    assert find_ties(target) == TIES[network]


def test_a_pattern_may_name_any_of_the_layers_that_share_a_weight(build):
    model = build("tied")
    for pattern in ("a", "b", "network.b.weight"):
        assert list(prunable_parameters(model, [pattern])) == ["network.fc.weight"]
    for pattern in ("read", "embedding"):
        assert "network.embedding.weight" not in prunable_parameters(build("Embedded"), [pattern])


def test_two_parameters_over_one_memory_are_refused_in_one_sentence(build):
    with pytest.raises(
        ModelError, match=r"^network\.a\.weight and network\.b\.weight are two tensors over one"
    ):
        build("one_memory")
    with pytest.raises(ModelError, match=r"^network\.b\.weight has several weights in one place"):
        build("expanded")


def test_a_residual_block_that_shares_a_weight_is_not_removed(make_spec):
    model = build_model(make_spec("resnet32"), seed=0, device="meta")
    free = [block.name for block in list_candidates(model)]
    model.network.layer1[3].conv1.weight = model.network.layer1[2].conv1.weight
    assert find_tied_layers(model) == {"network.layer1.2.conv1", "network.layer1.3.conv1"}
    left = [block.name for block in list_candidates(model)]
    assert left == [name for name in free if name not in ("network.layer1.2", "network.layer1.3")]
    with pytest.raises(ModelError, match="cannot be removed"):
        remove_blocks_(model, ["network.layer1.2"])
