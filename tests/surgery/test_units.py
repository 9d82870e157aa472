"""Units are removed exactly, from every tensor alike, and what is left is what its specification builds."""

import copy
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.units import describe_architecture, find_units
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import apply_masks_, count_kept
from lottery_pipeline.surgery.compact import compact, compact_ticket
from lottery_pipeline.surgery.units import compact_supernet, fold_constants, keep_units, slice_tensors
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from tests.models.supernet.networks import TINY, build_used, draw_keep, images_of, silence_, spec_of
from tests.tiny import same_bits

BLOCK = "network.stages.s2.branch2.block1"
K3, K5, TOKENS = f"{BLOCK}.groups.k3", f"{BLOCK}.groups.k5", f"{BLOCK}.attention"
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
DTYPES = list(TOLERANCE)


def shrink(spec, model: nn.Module, keep: Mapping[str, Tensor], *, fold: bool) -> nn.Module:
    state = model.state_dict()
    sliced = slice_tensors(fold_constants(state, spec, keep) if fold else state, spec, keep)
    smaller = build_model(keep_units(spec, keep), seed=1).to(next(model.parameters()).dtype)
    smaller.load_state_dict(sliced)
    return smaller.train(model.training)


def run(model: nn.Module, spec, *, count: int = 4) -> Tensor:
    with torch.no_grad():
        return model(images_of(spec, count, dtype=next(model.parameters()).dtype))


def keep_none_of(*parts: str):
    return lambda group, drawn: drawn & torch.tensor(not any(part in group.name for part in parts))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("preset", ["digits8", "canvas32"])
def test_units_with_gamma_and_beta_0_are_removed_without_a_trace(preset, dtype):
    spec = spec_of(preset, 8)
    model = build_used(spec, dtype=dtype)
    keep = draw_keep(model)
    silence_(model, keep)
    before = run(model, spec)
    smaller = shrink(spec, model, keep, fold=False)
    assert sum(group.size for group in find_units(smaller)) == sum(int(kept.sum()) for kept in keep.values())
    assert torch.allclose(run(smaller, spec), before, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_constant_units_write_is_folded_in_evaluation_mode(dtype):
    spec = spec_of("digits8")
    model = build_used(spec, dtype=dtype)
    keep = draw_keep(model, keep_none_of("s1.branch1.block1.groups", "branch2.block1.attention"))
    silence_(model, keep, beta=None)
    before = run(model, spec)
    assert torch.allclose(run(shrink(spec, model, keep, fold=True), spec), before, atol=TOLERANCE[dtype])
    assert not torch.allclose(run(shrink(spec, model, keep, fold=False), spec), before, atol=1e-3)


def test_batch_statistics_take_up_constants_in_training_mode():
    attention = TINY.attention.model_copy(update={"enabled": False})
    spec = spec_of(TINY.model_copy(update={"attention": attention}))
    model = build_used(spec, dtype=torch.float64).train()
    keep = draw_keep(model)
    silence_(model, keep, beta=None)
    smaller = shrink(spec, model, keep, fold=False)
    assert torch.allclose(run(smaller, spec), run(model, spec), atol=1e-12)


@pytest.mark.parametrize(
    "gone",
    [("k3",), ("k3", "k5"), (BLOCK,), ("attention",), ("fuse.from1_to2",), ("head",), ("network",)],
    ids=" ".join,
)
def test_whole_groups_blocks_paths_and_heads_may_vanish(gone):
    spec = spec_of()
    model = build_used(spec)
    keep = draw_keep(
        model, lambda group, _: torch.full((group.size,), not any(part in group.name for part in gone))
    )
    silence_(model, keep, beta=None)
    before = run(model, spec)
    smaller = shrink(spec, model, keep, fold=True)
    left = {group.name for group in find_units(smaller)}
    assert left == {group.name for group in find_units(model) if not any(part in group.name for part in gone)}
    assert torch.allclose(run(smaller, spec), before, atol=1e-5)
    smaller.train()(images_of(spec)).sum().backward()


@settings(max_examples=6)
@given(st.integers(0, 2**32), st.sampled_from(["all", "most", "few", "none"]))
def test_the_smaller_network_is_the_one_that_its_specification_builds(seed, amount):
    threshold = {"all": 2.0, "most": 0.9, "few": 0.1, "none": -1.0}[amount]
    spec = spec_of()
    model = build_model(spec, seed=0, device="meta")
    generator = make_generator(seed, "units")
    keep = {
        group.name: torch.rand(group.size, generator=generator) < threshold for group in find_units(model)
    }
    smaller = keep_units(spec, keep)
    fresh = build_model(smaller, seed=0, device="meta")
    sliced = slice_tensors(model.state_dict(), spec, keep)
    assert {name: tensor.shape for name, tensor in sliced.items()} == {
        name: tensor.shape for name, tensor in fresh.state_dict().items()
    }
    assert list(sliced) == list(fresh.state_dict())
    assert smaller.architecture in ((), describe_architecture(fresh))
    assert smaller.restored() == spec
    assert smaller.is_reduced == (amount != "all" and any(not kept.all() for kept in keep.values()))
    full_macs, macs = (total_macs(count_macs(network, (1, 8, 8))) for network in (model, fresh))
    assert macs < full_macs or not smaller.is_reduced
    assert keep_units(smaller, {}) == smaller


def test_a_search_may_remove_in_steps():
    spec = spec_of()
    model = build_used(spec, dtype=torch.float64)
    first = draw_keep(model, seed=1)
    one = shrink(spec, model, first, fold=False)
    between = keep_units(spec, first)
    second = draw_keep(one, seed=2)
    two = shrink(between, one, second, fold=False)
    both = {name: kept.clone() for name, kept in first.items()}
    for name, kept in second.items():
        both[name][first[name].nonzero().squeeze(1)[~kept]] = False
    assert keep_units(between, second) == keep_units(spec, both)
    assert same_bits(two.state_dict(), slice_tensors(model.state_dict(), spec, both))


def test_tensors_are_cut_along_the_axis_of_the_units():
    spec = spec_of()
    model = build_used(spec)
    state = model.state_dict()
    keep = {K3: torch.arange(6) % 2 == 0, TOKENS: torch.tensor([True, False, True])}
    sliced = slice_tensors(state, spec, keep)
    assert torch.equal(sliced[f"{K3}.depthwise.weight"], state[f"{K3}.depthwise.weight"][[0, 2, 4]])
    assert torch.equal(sliced[f"{K3}.project.weight"], state[f"{K3}.project.weight"][:, [0, 2, 4]])
    assert torch.equal(sliced[f"{TOKENS}.queries"], state[f"{TOKENS}.queries"][[0, 2]])
    assert torch.equal(sliced[f"{TOKENS}.reverse.weight"], state[f"{TOKENS}.reverse.weight"][:, [0, 2]])
    assert torch.equal(sliced[f"{K5}.project.weight"], state[f"{K5}.project.weight"])
    sliced[f"{K5}.project.weight"].zero_()
    assert state[f"{K5}.project.weight"].any()


def test_any_subset_of_tensors_is_cut_alike():
    spec = spec_of()
    masks = {name: torch.rand(6, 1, 3, 3) < 0.5 for name in [f"{K3}.depthwise.weight"]}
    assert slice_tensors(masks, spec, {K3: torch.zeros(6, dtype=torch.bool)}) == {}
    kept = slice_tensors(masks, spec, {K3: torch.arange(6) < 2})
    assert torch.equal(kept[f"{K3}.depthwise.weight"], masks[f"{K3}.depthwise.weight"][:2])


def test_a_stepped_optimiser_trains_what_is_left():
    spec = spec_of()
    model = build_model(spec, seed=0)
    keep = draw_keep(model)
    smaller = shrink(spec, model, keep, fold=True).train()
    optimiser = torch.optim.SGD(smaller.parameters(), lr=0.1)
    before = copy.deepcopy(smaller.state_dict())
    smaller(images_of(spec)).square().sum().backward()
    optimiser.step()
    assert not torch.equal(before["network.fc.weight"], smaller.state_dict()["network.fc.weight"])


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"network.a": torch.ones(3, dtype=torch.bool)}, "'network.a' is not a group of search units"),
        (
            {K3: torch.ones(5, dtype=torch.bool)},
            "has 6 units, so keep must be as many booleans, not torch.bool .5.",
        ),
        ({K3: torch.ones(6)}, "must be as many booleans, not torch.float32"),
    ],
)
def test_units_that_are_not_there_are_refused(keep, message):
    for function in (lambda: keep_units(spec_of(), keep), lambda: slice_tensors({}, spec_of(), keep)):
        with pytest.raises(TicketError, match=message):
            function()


def draw_masks(model: nn.Module, density: float) -> dict[str, Tensor]:
    generator = make_generator(0, "masks")
    return {
        name: torch.rand(weight.shape, generator=generator) < density
        for name, weight in prunable_parameters(model).items()
    }


def masked(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    model = copy.deepcopy(model)
    apply_masks_(dict(model.named_parameters()), masks)
    return model


def compacted(spec, model: nn.Module, masks: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    found = compact_supernet(spec, model.state_dict(), masks)
    smaller = build_model(found.spec, seed=1).to(next(model.parameters()).dtype)
    smaller.load_state_dict(found.state)
    return smaller.eval(), found.masks


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_compaction_leaves_the_outputs_as_they_are(dtype, density):
    spec = spec_of("digits8")
    model = build_used(spec, dtype=dtype)
    masks = draw_masks(model, density)
    smaller, left = compacted(spec, model, masks)
    shape = (1, 8, 8)
    assert torch.allclose(
        run(masked(smaller, left), spec), run(masked(model, masks), spec), atol=TOLERANCE[dtype]
    )
    fewer = total_macs(count_macs(smaller, shape)) < total_macs(count_macs(model, shape))
    assert fewer == (density < 1)
    assert count_kept(left) <= count_kept(masks)


def test_compaction_takes_what_is_dead_and_nothing_else():
    spec = spec_of()
    model = build_used(spec)
    masks = draw_masks(model, 2.0)
    masks[f"{K3}.project.weight"][:, 0] = False  # nothing reads it
    masks[f"{K3}.depthwise.weight"][1] = False  # a constant
    masks[f"{K3}.expand.weight"][2:4] = False  # a constant before zero padding; one is silent, one is not
    norm = model.get_submodule(f"{K3}.expand_norm")
    with torch.no_grad():
        norm.bias[2:4] = torch.tensor([-9.0, 9.0])
        model.get_parameter(f"{K5}.depthwise_norm.weight")[5] = 0.0
        model.get_parameter(f"{TOKENS}.norm.weight")[1] = 0.0
    found = compact_supernet(spec, model.state_dict(), masks)
    block = next(widths for widths in found.spec.architecture if widths.block == BLOCK)
    assert (block.hidden, block.tokens) == (((3, 3), (5, 5)), 2)
    kept = found.state[f"{K3}.expand_norm.bias"]
    assert torch.equal(kept, norm.bias[3:].detach())
    assert sum(group.size for group in find_units(model)) - 5 == sum(
        width for widths in found.spec.architecture for _, width in widths.hidden
    ) + sum(widths.tokens for widths in found.spec.architecture)


def test_a_constant_before_zero_padding_is_no_constant_behind_it():
    spec = spec_of()
    model = build_used(spec, dtype=torch.float64)
    masks = draw_masks(model, 2.0)
    masks[f"{K3}.expand.weight"][:] = False
    with torch.no_grad():
        model.get_parameter(f"{K3}.expand_norm.bias").fill_(1.0)
        model.get_buffer(f"{K3}.expand_norm.running_mean").zero_()
    group, entering = masked(model, masks).get_submodule(K3), torch.zeros(1, 6, 4, 4, dtype=torch.float64)
    written = group(entering)
    assert written.std(dim=(2, 3)).max() > 1e-3
    assert compact_supernet(spec, model.state_dict(), masks).spec == spec


def test_a_block_and_an_attention_path_without_readers_vanish():
    spec = spec_of()
    model = build_used(spec)
    masks = draw_masks(model, 2.0)
    for name in (f"{K3}.project", f"{K5}.project", f"{TOKENS}.reverse"):
        masks[f"{name}.weight"][:] = False
    smaller, left = compacted(spec, model, masks)
    assert not any(name.startswith((f"{BLOCK}.groups", TOKENS)) for name in smaller.state_dict())
    assert torch.allclose(run(smaller, spec), run(masked(model, masks), spec), atol=1e-5)
    assert all(bool(mask.all()) for mask in left.values())


def test_layers_that_are_never_pruned_have_no_masks_and_stay():
    spec = spec_of(ignore_layers=("*.expand", "fc"))
    model = build_used(spec)
    masks = {
        name: mask
        for name, mask in draw_masks(model, 0.3).items()
        if not name.endswith(("expand.weight", "fc.weight"))
    }
    smaller, left = compacted(spec, model, masks)
    assert torch.allclose(run(masked(smaller, left), spec), run(masked(model, masks), spec), atol=1e-5)


def test_tensors_of_another_network_are_refused():
    spec = spec_of()
    model = build_used(spec)
    masks = draw_masks(model, 2.0)
    with pytest.raises(TicketError, match="state and masks are not those of the network supernet"):
        compact(spec, {**model.state_dict(), "network.fc.bias": torch.zeros(4)}, masks)
    with pytest.raises(TicketError, match="state and masks are not those of the network supernet"):
        compact(spec, model.state_dict(), {name: masks[name] for name in list(masks)[1:]})


def test_a_compacted_ticket_is_sound_and_computes_the_same(tmp_path):
    spec = spec_of("digits8")
    model = build_used(spec)
    masks = draw_masks(model, 0.1)
    ticket = make_ticket(
        method="snip",
        spec=spec,
        masks=masks,
        state=masked(model, masks).state_dict(),
        seed=0,
        kind="trained",
        rewind_step=0,
        parents={"dense": "a" * 64},
    )
    smaller = compact_ticket(ticket)
    smaller.save(tmp_path / "smaller")
    again = Ticket.load(tmp_path / "smaller")
    assert again.header.spec.is_reduced
    assert again.header.spec.restored() == spec
    assert again.density > ticket.density
    assert torch.allclose(run(again.build().eval(), spec), run(ticket.build().eval(), spec), atol=1e-5)


def test_constants_may_be_given():
    spec = spec_of()
    model = build_used(spec, dtype=torch.float64)
    state = model.state_dict()
    keep = {K3: torch.tensor([False, True, True, True, True, False])}
    given_constants = torch.arange(6.0, dtype=torch.float64)
    folded = fold_constants(state, spec, keep, constants={K3: given_constants})
    project = state[f"{K3}.project.weight"].flatten(1)
    name = f"{BLOCK}.output_norm.running_mean"
    assert torch.allclose(folded[name], state[name] - 5 * project[:, 5])
    assert [key for key in state if folded[key] is not state[key]] == [name]


def test_a_removed_group_takes_its_own_parameters_and_no_others():
    spec = spec_of()
    model = build_model(spec, seed=0, device="meta")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    for group in find_units(model):
        smaller = keep_units(spec, {group.name: torch.zeros(group.size, dtype=torch.bool)})
        rest = build_model(smaller, seed=0, device="meta")
        gone = sum(
            value.numel() for name, value in model.named_parameters() if name.startswith(f"{group.name}.")
        )
        assert parameters - sum(parameter.numel() for parameter in rest.parameters()) == gone
        assert gone > group.size
