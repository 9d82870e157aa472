"""Compaction leaves the outputs as they are, takes all that is dead, and makes sound tickets."""

import subprocess
import sys

import pytest
import torch

from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.models.classifier import Normalise
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import apply_masks_
from lottery_pipeline.surgery.channels import find_inner_groups
from lottery_pipeline.surgery.compact import compact, compact_ticket
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from tests.reference.channels_naive import cifar_resnet_sizes
from tests.reference.compact_naive import find_dead_naive
from tests.tickets.hostile import put_together, take_apart
from tests.tiny import draw_masks, same_bits, tiny_spec

BLOCK = "network.layer2.1"
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def draw_state(spec: ModelSpec, *, seed: int = 0, dtype: torch.dtype = torch.float32):
    """Weights, batch-norm parameters and buffers as some training might leave them."""
    generator = make_generator(seed, "state")
    state = {}
    for name, blank in build_model(spec, seed=seed, device="meta").state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(blank.shape, dtype=blank.dtype)
            continue
        values = torch.randn(blank.shape, generator=generator)
        if blank.dim() > 1:
            state[name] = (values * (12 / blank[0].numel()) ** 0.5).to(dtype)
        elif name.endswith(("running_var", "weight")):
            state[name] = (values.abs() + 0.5).to(dtype)
        else:
            state[name] = (values * 0.5).to(dtype)
    return state


def run(spec, state, masks, *, images=4):
    """Outputs of the masked network in evaluation mode."""
    dtype = state["network.fc.weight"].dtype
    model = build_model(spec, seed=0, device="meta").eval()
    model.normalise = Normalise(spec.mean, spec.std).to(dtype)
    model.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, assign=True)
    apply_masks_(dict(model.named_parameters()), masks)
    generator = make_generator(0, "pixels")
    with torch.no_grad():
        return model(torch.rand(images, spec.channels, *spec.image_size, generator=generator, dtype=dtype))


def draw_dead_channels(state):
    """Masks at density 0.8 in which a third of the filters, and a third of what reads a channel, is empty."""
    masks = draw_masks(state, density=0.8)
    generator = make_generator(0, "dead")
    for name, mask in masks.items():
        if name != "network.fc.weight":
            mask[torch.rand(len(mask), generator=generator) < 0.33] = False
            mask[:, torch.rand(mask.shape[1], generator=generator) < 0.33] = False
    return masks


def count_parameters(spec):
    return sum(parameter.numel() for parameter in build_model(spec, seed=0, device="meta").parameters())


def empty(masks, *names):
    return {name: torch.zeros_like(mask) if name in names else mask for name, mask in masks.items()}


def silence(state, norm):
    state[f"{norm}.weight"].zero_()
    state[f"{norm}.bias"].zero_()


# The deep stages of ResNet-50 hold most of its weights, and their blocks are all alike.
DEEP = tuple(f"network.layer{place}" for place in ("3.2", "3.3", "3.4", "3.5", "4.1", "4.2"))
NETWORKS = {
    "resnet20": tiny_spec("resnet20", width=8),
    "torchvision:resnet18": tiny_spec("torchvision:resnet18", width=16),
    "resnet50": tiny_spec("resnet50", width=4, removed_blocks=DEEP),
    "vgg16": tiny_spec("vgg16", width=16),
    "conv4": tiny_spec("conv4", width=4),
    "lenet_300_100": tiny_spec("lenet_300_100", width=8),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_stay(name, dtype):
    spec = NETWORKS[name]
    state = draw_state(spec, dtype=dtype)
    masks = draw_dead_channels(state)
    found = compact(spec, state, masks)
    outputs = run(spec, state, masks)
    tolerance = TOLERANCE[dtype] * max(1.0, float(outputs.abs().max()))
    assert outputs.std(0).min() > 10 * tolerance
    assert count_parameters(found.spec) < 0.8 * count_parameters(spec)
    assert torch.allclose(run(found.spec, found.state, found.masks), outputs, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_stay_at_extreme_sparsity(name, dtype):
    spec = NETWORKS[name]
    state = draw_state(spec, dtype=dtype)
    masks = draw_masks(state, density=0.002)
    found = compact(spec, state, masks)
    assert count_parameters(found.spec) < count_parameters(spec)
    outputs = run(found.spec, found.state, found.masks)
    assert torch.allclose(outputs, run(spec, state, masks), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("seed", range(5))
def test_outputs_stay_whatever_the_masks_are(seed):
    spec = tiny_spec("resnet20", width=4)
    state = draw_state(spec, seed=seed, dtype=torch.float64)
    density = 10 ** -(1 + seed / 2)
    masks = draw_masks(state, seed=seed, density=density)
    found = compact(spec, state, masks)
    assert torch.allclose(
        run(found.spec, found.state, found.masks), run(spec, state, masks), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("name", ["resnet20", "vgg16", "lenet_300_100"])
def test_a_collapsed_layer_leaves_one_channel(name):
    spec = tiny_spec(name, width=16)
    state = draw_state(spec, dtype=torch.float64)
    masks = draw_masks(state, density=0.3)
    group = find_inner_groups(build_model(spec, seed=0, device="meta"))[1]
    reader = group.inputs[0][0]
    masks = empty(masks, f"{group.name}.weight", f"{reader}.weight")
    found = compact(spec, state, masks)
    assert len(found.state[f"{group.name}.weight"]) == 1
    assert torch.allclose(
        run(found.spec, found.state, found.masks), run(spec, state, masks), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("density", [0.03, 0.01])
def test_exactly_the_dead_channels_of_a_chain_go(density):
    spec = tiny_spec("conv4", width=8)
    state = draw_state(spec)
    masks = draw_masks(state, density=density)
    layers = [name.removesuffix(".weight") for name in masks]
    constants = [state[f"{layer}.bias"].tolist() for layer in layers]
    dead = find_dead_naive([masks[f"{layer}.weight"] for layer in layers], constants, inputs=1)
    found = compact(spec, state, masks)
    sizes = [len(found.state[f"{layer}.weight"]) for layer in layers[:-1]]
    full = [len(state[f"{layer}.weight"]) for layer in layers[:-1]]
    assert sizes == [size - len(gone) for size, gone in zip(full, dead, strict=True)]
    assert sizes != full
    for layer, gone, size in zip(layers, dead, full, strict=False):
        alive = [channel for channel in range(size) if channel not in gone]
        assert torch.equal(found.state[f"{layer}.bias"], state[f"{layer}.bias"][alive])


def test_exactly_the_dead_channels_of_blocks_go_and_sizes_are_the_analytic_ones():
    spec = tiny_spec("resnet20", width=8)
    state = draw_state(spec)
    masks = draw_masks(state, density=0.01)
    widths = []
    for group in find_inner_groups(build_model(spec, seed=0, device="meta")):
        mean, variance, scale, shift = (
            state[f"{group.norms[0]}.{part}"].double()
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        constants = [(shift - scale * mean / (variance + 1e-5).sqrt()).tolist()]
        pair = [masks[f"{group.name}.weight"], masks[f"{group.inputs[0][0]}.weight"]]
        [dead] = find_dead_naive(pair, constants, inputs=pair[0].shape[1])
        widths.append(max(1, group.size - len(dead)))
    found = compact(spec, state, masks)
    sizes = cifar_resnet_sizes(widths, side=8, channels=1, classes=3)
    assert widths != [16] * 3 + [32] * 3 + [64] * 3
    assert count_parameters(found.spec) == sizes["parameters"]
    model = build_model(found.spec, seed=0, device="meta")
    assert total_macs(count_macs(model, (1, 8, 8))) == sizes["macs"]


def test_a_dead_filter_with_a_constant_above_0_stays():
    spec = tiny_spec("resnet20", width=4)
    state = build_model(spec, seed=0).state_dict()
    masks = draw_masks(state, density=2.0)
    masks[f"{BLOCK}.conv1.weight"][:3] = False
    for channel, shift in enumerate((0.0, -0.1, 0.1)):
        state[f"{BLOCK}.bn1.bias"][channel] = shift
    found = compact(spec, state, masks)
    assert torch.equal(found.state[f"{BLOCK}.bn1.bias"], state[f"{BLOCK}.bn1.bias"][2:])
    assert found.spec.narrowed[0] == (f"{BLOCK}.conv1", 32, 30)


def test_the_mean_of_batch_norm_counts_in_the_constant():
    spec = tiny_spec("resnet20", width=4)
    state = build_model(spec, seed=0).state_dict()
    masks = draw_masks(state, density=2.0)
    masks[f"{BLOCK}.conv1.weight"][:2] = False
    state[f"{BLOCK}.bn1.running_mean"][:2] = torch.tensor([1.0, -1.0])  # constants -1 and +1
    found = compact(spec, state, masks)
    assert torch.equal(found.state[f"{BLOCK}.bn1.running_mean"], state[f"{BLOCK}.bn1.running_mean"][1:])


def test_a_channel_that_nothing_reads_goes_whatever_it_emits():
    spec = tiny_spec("resnet20", width=4)
    state = build_model(spec, seed=0).state_dict()
    masks = draw_masks(state, density=2.0)
    masks[f"{BLOCK}.conv2.weight"][:, 7] = False
    state[f"{BLOCK}.bn1.bias"][7] = 5.0
    found = compact(spec, state, masks)
    assert found.spec.narrowed == (
        (f"{BLOCK}.conv1", 32, 31),
        (f"{BLOCK}.bn1", 31, 31),
        (f"{BLOCK}.conv2", 31, 32),
    )


def test_a_branch_of_nothing_becomes_the_identity():
    spec = tiny_spec("resnet20", width=4)
    state = draw_state(spec, dtype=torch.float64)
    masks = empty(draw_masks(state, density=0.5), f"{BLOCK}.conv2.weight")
    silence(state, f"{BLOCK}.bn2")
    found = compact(spec, state, masks)
    assert found.spec.removed_blocks == (BLOCK,)
    assert not any(name.startswith(BLOCK) for name in (*found.state, *found.masks))
    assert torch.equal(run(found.spec, found.state, found.masks), run(spec, state, masks))


def test_a_branch_of_a_constant_and_one_beside_a_projection_stay():
    spec = tiny_spec("resnet20", width=4)
    state = draw_state(spec, dtype=torch.float64)
    projection = "network.layer2.0"
    masks = empty(draw_masks(state, density=0.5), f"{BLOCK}.conv2.weight", f"{projection}.conv2.weight")
    silence(state, f"{BLOCK}.bn2")
    state[f"{BLOCK}.bn2.bias"][3] = -0.5
    silence(state, f"{projection}.bn2")
    found = compact(spec, state, masks)
    assert found.spec.removed_blocks == ()
    assert torch.allclose(
        run(found.spec, found.state, found.masks), run(spec, state, masks), rtol=0, atol=1e-10
    )


def test_reduced_networks_can_be_compacted_and_a_second_time_nothing_goes():
    other = "network.layer2.2"
    widths = ((f"{other}.conv1", 32, 5), (f"{other}.bn1", 5, 5), (f"{other}.conv2", 5, 32))
    spec = tiny_spec("resnet20", width=4, removed_blocks=("network.layer1.1",), narrowed=widths)
    state = draw_state(spec, dtype=torch.float64)
    masks = empty(draw_masks(state, density=0.05), f"{other}.conv2.weight")
    silence(state, f"{other}.bn2")
    found = compact(spec, state, masks)
    assert found.spec.removed_blocks == ("network.layer1.1", other)
    assert torch.allclose(
        run(found.spec, found.state, found.masks), run(spec, state, masks), rtol=0, atol=1e-10
    )
    again = compact(found.spec, found.state, found.masks)
    assert again.spec == found.spec
    assert same_bits(again.state, found.state)


def test_layers_that_are_never_pruned_count_as_full_and_keep_their_block():
    spec = tiny_spec("resnet20", width=4, ignore_layers=("layer2.1.conv1",))
    state = draw_state(spec)
    masks = empty(draw_masks(state, density=0.5), f"{BLOCK}.conv2.weight")
    del masks[f"{BLOCK}.conv1.weight"]
    silence(state, f"{BLOCK}.bn2")
    found = compact(spec, state, masks)
    assert found.spec.removed_blocks == ()
    assert len(found.state[f"{BLOCK}.conv1.weight"]) == 1


def test_a_network_of_unknown_structure_stays():
    spec = tiny_spec("torchvision:squeezenet1_1", width=32)
    state = build_model(spec, seed=0).state_dict()
    masks = draw_masks(state, density=0.01)
    found = compact(spec, state, masks)
    assert found.spec == spec
    assert same_bits(found.state, state)


def draw_trained(name="resnet20", *, density=0.01):
    spec = tiny_spec(name, width=4)
    state = draw_state(spec)
    return make_ticket(
        method="ltr",
        spec=spec,
        masks=draw_masks(state, density=density),
        state=state,
        seed=3,
        rewind_step=5,
        steps_per_epoch=2,
        parents={"dense": "a" * 64, "images": "b" * 64},
        kind="trained",
        metrics={"train_loss": 0.5},
    )


def test_a_compacted_ticket_keeps_its_provenance_and_names_its_parent():
    ticket = draw_trained()
    smaller = compact_ticket(ticket)
    assert (smaller.header.kind, smaller.method, smaller.header.metrics) == (
        "trained",
        "ltr",
        {"train_loss": 0.5},
    )
    header = smaller.header
    assert (header.seed, header.rewind_step, header.steps_per_epoch) == (3, 5, 2)
    assert smaller.header.parents == {**ticket.header.parents, "ticket": ticket.fingerprint}
    assert smaller.prunable < ticket.prunable
    assert len(smaller.to_bytes()) < len(ticket.to_bytes())


def test_a_ticket_of_which_nothing_goes_is_the_same_ticket():
    ticket = draw_trained(density=0.9)
    assert compact_ticket(ticket) is ticket


READER = """
import sys, torch
from lottery_pipeline.tickets.ticket import Ticket
model = Ticket.load(sys.argv[1]).build().eval()
with torch.no_grad():
    torch.save(model(torch.linspace(0, 1, 64).reshape(4, 1, 4, 4)), sys.argv[2])
"""


def test_a_compacted_ticket_gives_the_same_bits_in_a_new_process(tmp_path):
    smaller = compact_ticket(draw_trained())
    smaller.save(tmp_path / "ticket")
    subprocess.run([sys.executable, "-c", READER, tmp_path / "ticket", tmp_path / "outputs"], check=True)
    with torch.no_grad():
        outputs = smaller.build().eval()(torch.linspace(0, 1, 64).reshape(4, 1, 4, 4))
    assert torch.equal(torch.load(tmp_path / "outputs", weights_only=True), outputs)


def widen(spec):
    spec["narrowed"][0][2] += 1


def make_nothing(spec):
    spec["narrowed"][0][2] = 0


def grow_beyond_the_network(spec):
    spec["narrowed"][0][2] = 10_000


def name_no_layer(spec):
    spec["narrowed"][0][0] = "network.nothing"


def forget_the_widths(spec):
    del spec["narrowed"]


def remove_a_projection(spec):
    spec["removed_blocks"] = ["network.layer2.0"]


def remove_what_is_there(spec):
    spec["removed_blocks"] = ["network.layer1.1"]
    spec["narrowed"] = [width for width in spec["narrowed"] if not width[0].startswith("network.layer1.1")]


@pytest.mark.parametrize(
    "lie",
    [
        widen,
        make_nothing,
        grow_beyond_the_network,
        name_no_layer,
        forget_the_widths,
        remove_a_projection,
        remove_what_is_there,
    ],
)
def test_files_that_lie_about_what_is_left_are_refused(lie, tmp_path):
    parts = take_apart(compact_ticket(draw_trained()).to_bytes())
    (tmp_path / "sound").write_bytes(put_together(parts))
    assert Ticket.load(tmp_path / "sound").header.spec.is_reduced
    lie(parts.header["spec"])
    (tmp_path / "ticket").write_bytes(put_together(parts))
    with pytest.raises(TicketError, match=r"^cannot use .*ticket: "):
        Ticket.load(tmp_path / "ticket")


def test_a_network_whose_batch_norm_keeps_no_statistics_loses_what_nobody_reads():
    name = "tests.user_networks:batch_statistics"
    spec = tiny_spec(name)
    state = {
        key: torch.randn_like(value)
        for key, value in build_model(spec, seed=0, allow_factory=name).state_dict().items()
    }
    masks = {key: torch.ones_like(value, dtype=torch.bool) for key, value in state.items() if value.dim() > 1}
    masks["network.3.weight"][:, 2] = False  # nobody reads channel 2
    masks["network.3.weight"][1] = False  # an empty filter, whose constant depends on the batch
    apply_masks_(state, masks)
    ticket = make_ticket(
        method="ltr",
        spec=spec,
        masks=masks,
        state=state,
        seed=0,
        rewind_step=0,
        parents={},
        allow_factory=name,
    )
    smaller = compact_ticket(ticket)
    assert smaller.header.spec.narrowed == (
        ("network.0", 1, 5),
        ("network.1", 5, 5),
        ("network.3", 5, 6),
    )
    images = torch.rand(3, 1, 4, 4)
    torch.testing.assert_close(smaller.build().eval()(images), ticket.build().eval()(images))


def test_an_empty_branch_stays_where_the_residual_blocks_have_another_norm():
    name = "tests.user_networks:group_norm_resnet"
    spec = tiny_spec(name)
    state = build_model(spec, seed=0, allow_factory=name).state_dict()
    masks = {key: torch.ones_like(value, dtype=torch.bool) for key, value in state.items() if value.dim() > 1}
    masks = empty(masks, "network.layer1.1.conv2.weight")
    found = compact(spec, state, masks, allow_factory=name)
    assert found.spec == spec
