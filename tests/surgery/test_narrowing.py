import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.surgery.channels import find_coupled_groups, find_inner_groups
from lottery_pipeline.surgery.narrowing import narrow, narrow_spec
from lottery_pipeline.tickets.errors import TicketError
from tests.tiny import draw_masks, tiny_spec

BLOCK = "network.layer1.1"


def take_apart(name, width=4, **changes):
    spec = tiny_spec(name, width=width, **changes)
    model = build_model(spec, seed=0)
    state = model.state_dict()
    return spec, state, draw_masks(state), find_inner_groups(model)


def keep(size, *channels):
    kept = torch.zeros(size, dtype=torch.bool)
    kept[list(channels)] = True
    return kept


def test_tensors_of_the_narrower_network_are_slices():
    spec, state, masks, groups = take_apart("resnet20")
    found = narrow(spec, state, masks, {f"{BLOCK}.conv1": keep(16, 2, 5, 11)}, groups=groups)
    assert found.spec.narrowed == (
        (f"{BLOCK}.conv1", 16, 3),
        (f"{BLOCK}.bn1", 3, 3),
        (f"{BLOCK}.conv2", 3, 16),
    )
    wanted = dict(state)
    wanted[f"{BLOCK}.conv1.weight"] = state[f"{BLOCK}.conv1.weight"][[2, 5, 11]]
    wanted[f"{BLOCK}.conv2.weight"] = state[f"{BLOCK}.conv2.weight"][:, [2, 5, 11]]
    for part in ("weight", "bias", "running_mean", "running_var"):
        wanted[f"{BLOCK}.bn1.{part}"] = state[f"{BLOCK}.bn1.{part}"][[2, 5, 11]]
    assert found.state.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.state.items())
    name = f"{BLOCK}.conv2.weight"
    assert torch.equal(found.masks[name], masks[name][:, [2, 5, 11]])
    build_model(found.spec, seed=0).load_state_dict(found.state)


def test_flattened_channels_take_all_their_columns_along():
    spec, state, masks, groups = take_apart("conv2", width=4)
    found = narrow(spec, state, masks, {"network.features.2": keep(64, 1, 3)}, groups=groups)
    columns = [4, 5, 6, 7, 12, 13, 14, 15]
    assert torch.equal(found.state["network.fc1.weight"], state["network.fc1.weight"][:, columns])
    assert torch.equal(found.state["network.features.2.bias"], state["network.features.2.bias"][[1, 3]])


def test_a_narrow_network_can_be_narrowed_again():
    spec, state, masks, groups = take_apart("resnet20", removed_blocks=("network.layer2.1",))
    once = narrow(spec, state, masks, {f"{BLOCK}.conv1": keep(16, 2, 5, 11)}, groups=groups)
    groups = find_inner_groups(build_model(once.spec, seed=0))
    kept = {f"{BLOCK}.conv1": keep(3, 0, 2)}
    twice = narrow(once.spec, once.state, once.masks, kept, groups=groups)
    name = f"{BLOCK}.conv1.weight"
    assert torch.equal(twice.state[name], state[name][[2, 11]])
    assert twice.spec.narrowed[0] == (f"{BLOCK}.conv1", 16, 2)
    assert twice.spec.removed_blocks == ("network.layer2.1",)


def test_the_inputs_stay_as_they_were():
    spec, state, masks, groups = take_apart("resnet20")
    before = {name: tensor.clone() for name, tensor in state.items()}
    found = narrow(spec, state, masks, {f"{BLOCK}.conv1": keep(16, 0)}, groups=groups)
    for tensor in found.state.values():
        tensor.zero_()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


def test_a_stage_can_be_narrowed_as_a_whole():
    spec, state, masks, _ = take_apart("resnet20")
    groups = find_coupled_groups(build_model(spec, seed=0).eval(), (1, 4, 4))
    found = narrow(spec, state, masks, {"network.conv1": keep(16, *range(0, 16, 2))}, groups=groups)
    model = build_model(found.spec, seed=0)
    model.load_state_dict(found.state)
    assert model(torch.rand(2, 1, 4, 4)).shape == (2, 3)
    assert found.state["network.conv1.weight"].shape == (8, 1, 3, 3)
    assert found.state["network.layer2.0.downsample.0.weight"].shape == (32, 8, 1, 1)


def test_the_specification_alone_needs_only_numbers():
    spec, _, _, groups = take_apart("resnet20")
    model = build_model(spec, seed=0, device="meta")
    smaller = narrow_spec(spec, model, groups, {f"{BLOCK}.conv1": 7})
    assert smaller.narrowed[0] == (f"{BLOCK}.conv1", 16, 7)
    assert narrow_spec(spec, model, groups, {}) == spec


@pytest.mark.parametrize("kept", [keep(16), keep(15, 0)])
def test_a_layer_of_nothing_or_of_another_size_is_refused(kept):
    spec, state, masks, groups = take_apart("resnet20")
    with pytest.raises(TicketError, match=r"must keep 1 to 16 of its 16 channels"):
        narrow(spec, state, masks, {f"{BLOCK}.conv1": kept}, groups=groups)


def test_the_state_of_another_network_is_refused():
    spec, state, masks, groups = take_apart("resnet20")
    state["network.fc.weight"] = state["network.fc.weight"][:, :32]
    with pytest.raises(TicketError, match="not those of the network resnet20"):
        narrow(spec, state, masks, {f"{BLOCK}.conv1": keep(16, 0)}, groups=groups)
