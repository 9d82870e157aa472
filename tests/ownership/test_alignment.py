import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.ownership.alignment import Alignment, align_channels, normalise_reference
from lottery_pipeline.ownership.carriers import carrier_masks, place_groups
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.reading import flatten_kernels, normalise_scale
from lottery_pipeline.surgery.channels import ChannelGroup
from tests.ownership.marks import (
    CHANNELS,
    SHAPES,
    add_channels,
    channels_of,
    choose,
    draw_factors,
    draw_masks,
    draw_orders,
    draw_weights,
    sign_chain,
)
from tests.reference.mask_code_naive import align_naive
from tests.tiny import draw_ticket


def flat(weights):
    return {name: flatten_kernels(weight) for name, weight in weights.items()}


def inverse(order: list[int]) -> list[int]:
    return [order.index(channel) for channel in range(len(order))]


def align(suspect, reference, carriers=None, channels=CHANNELS):
    return align_channels(suspect, normalise_reference(reference, carriers or {}), channels)


def chain(*widths: int):
    """Layers w0, w1, ... and the channels between them."""
    names = [f"w{layer}" for layer in range(len(widths) - 1)]
    shapes = {
        f"{name}.weight": (out, into) for name, into, out in zip(names, widths, widths[1:], strict=False)
    }
    pairs = zip(names, names[1:], widths[1:], strict=False)
    return shapes, [ChannelGroup(size, (writer,), (), ((reader, 1),)) for writer, reader, size in pairs]


@pytest.mark.parametrize("seed", range(8))
def test_one_group_of_channels_is_matched_as_by_trying_all_orders(seed):
    shapes, channels = chain(3, 5, 4)
    ours, theirs = draw_weights(seed, shapes=shapes), draw_weights(seed + 100, shapes=shapes)

    found = align(theirs, ours, channels=channels)

    normal = [{name: normalise_scale(w) for name, w in flat(side).items()} for side in (ours, theirs)]
    (expected,) = align_naive(*normal, list(shapes))
    assert found.orders["w0"].tolist() == list(expected)


@pytest.mark.parametrize("seed", range(8))
def test_two_groups_of_a_damaged_copy_are_matched_as_by_trying_all_orders(seed):
    shapes, channels = chain(8, 4, 4, 6)
    ours = draw_weights(seed, shapes=shapes)
    noise = draw_weights(seed + 50, shapes=shapes)
    orders = draw_orders(channels, seed)
    theirs = choose({name: w + 0.1 * noise[name] for name, w in ours.items()}, channels, orders)

    found = align(theirs, ours, channels=channels)

    normal = [{name: normalise_scale(w) for name, w in flat(side).items()} for side in (ours, theirs)]
    expected = align_naive(*normal, list(shapes))
    assert tuple(tuple(order.tolist()) for order in found.orders.values()) == expected
    assert expected == tuple(tuple(inverse(orders[group.name])) for group in channels)


def test_a_network_is_aligned_to_itself_as_it_is():
    weights = draw_weights()
    found = align(weights, weights)
    for group in CHANNELS:
        assert found.orders[group.name].tolist() == list(range(group.size))
    assert found.sweeps == 2  # the second changes nothing


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.1, 1.0))
def test_a_permuted_rescaled_and_negated_chain_returns_to_its_order(seed, density):
    masks = draw_masks(density, seed)
    weights = {name: w * masks[name] for name, w in draw_weights(seed).items()}
    orders = draw_orders(CHANNELS, seed)
    changed = choose(weights, CHANNELS, orders, draw_factors(CHANNELS, seed, negative=True))

    found = align(changed, weights)

    wrong = 0
    for group in CHANNELS:
        found_order, true = found.orders[group.name].tolist(), inverse(orders[group.name])
        wrong += sum(a != b for a, b in zip(found_order, true, strict=True))
    # At the sparsest a channel may have no weight on one side, and look like another.
    assert wrong <= (0 if density > 0.3 else 6)


def test_arranging_puts_every_weight_back():
    weights = draw_weights()
    changed = choose(weights, CHANNELS, draw_orders(CHANNELS, 3))
    found = align(changed, weights)
    for name, weight in flat(changed).items():
        torch.testing.assert_close(found.arrange(name, weight), flat(weights)[name], rtol=0, atol=0)


@pytest.fixture(scope="module")
def resnet():
    """A sparse ResNet-20, its channels, and which of them are alive on both sides."""
    ticket = draw_ticket("resnet20", width=4)
    return {name: ticket.state[name] for name in ticket.masks}, channels_of(ticket.build())


def live_channels(weights, group) -> list[int]:
    kept = torch.zeros(group.size, dtype=torch.bool)
    for layer in group.outputs:
        kept |= weights[f"{layer}.weight"].flatten(1).ne(0).any(1)
    for layer, _ in group.inputs:
        kept |= weights[f"{layer}.weight"].transpose(0, 1).flatten(1).ne(0).any(1)
    return kept.nonzero().flatten().tolist()


def assert_recovered(found, orders, weights, channels):
    for group in channels:
        true = inverse(orders[group.name])
        for channel in live_channels(weights, group):
            assert found.orders[group.name][channel] == true[channel], group.name


def test_resnet20_has_nine_inner_groups_and_three_streams(resnet):
    assert sorted(group.size for group in resnet[1]) == [16] * 4 + [32] * 4 + [64] * 4


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_permutation_of_resnet20_is_recovered_exactly(resnet, seed):
    weights, channels = resnet
    orders = draw_orders(channels, seed)
    factors = draw_factors(channels, seed, negative=True)
    assert_recovered(
        align(choose(weights, channels, orders, factors), weights, channels=channels), orders, *resnet
    )


def test_a_permuted_resnet20_without_a_residual_block_is_recovered(resnet):
    weights, channels = resnet
    orders = draw_orders(channels, 5)
    changed = choose(weights, channels, orders)
    left = {name: w for name, w in changed.items() if not name.startswith("network.layer2.1.")}
    found = align(left, weights, channels=channels)
    known = [group for group in channels if not group.name.startswith("network.layer2.1.")]
    assert_recovered(found, orders, weights, known)
    assert "network.layer2.1.conv1" not in found.orders


def test_added_channels_are_left_out(resnet):
    weights, channels = resnet
    padded, wider = add_channels(weights, channels, extra=3, seed=1)
    orders = draw_orders(wider, 2)
    found = align(choose(padded, wider, orders), weights, channels=channels)
    assert_recovered(found, orders, weights, channels)
    for group in channels:
        assert len(set(found.orders[group.name].tolist())) == group.size


def test_missing_channels_are_minus_one_and_the_others_are_found(resnet):
    weights, channels = resnet
    inner = [group for group in channels if len(group.outputs) == 1 and group.name.endswith("conv1")][1:]
    orders = {group.name: draw_orders([group], 4)[group.name][: group.size - 4] for group in inner}
    found = align(choose(weights, inner, orders), weights, channels=channels)
    for group in inner:
        order, kept = found.orders[group.name], orders[group.name]
        assert (order == -1).sum() == 4
        for channel in live_channels(weights, group):
            if channel in kept:
                assert order[channel] == kept.index(channel)
    layer = inner[0].outputs[0]
    gone = [channel for channel in range(inner[0].size) if found.orders[inner[0].name][channel] == -1]
    narrow = flatten_kernels(choose(weights, inner, orders)[f"{layer}.weight"])
    arranged = found.arrange(f"{layer}.weight", narrow)
    assert arranged.shape[0] == inner[0].size
    assert not arranged[gone].any()


def test_kernels_with_a_carrier_take_no_part():
    signed = sign_chain(0.3)
    placed = place_groups(signed.mark.key, signed.unmarked, signed.mark.planned)
    carriers = carrier_masks(placed, signed.unmarked)
    suspect = choose(draw_weights(9, spread=0.5), CHANNELS, draw_orders(CHANNELS, 6))
    plain = align(suspect, signed.weights, carriers)
    loaded = {name: w.clone() for name, w in signed.weights.items()}
    for name, chosen in carriers.items():
        kernels = chosen.flatten(2).any(2) if chosen.dim() > 2 else chosen
        loaded[name][kernels] = 1000.0
    same = align(suspect, loaded, carriers)
    for name, order in plain.orders.items():
        assert (order == same.orders[name]).all()
    swayed = align(suspect, loaded)
    assert any((order != swayed.orders[name]).any() for name, order in plain.orders.items())


def test_what_is_not_connected_to_a_known_side_has_no_order():
    shapes, channels = chain(6, 5, 4)
    ours = draw_weights(shapes=shapes)
    theirs = {"w0.weight": torch.randn(5, 7), "w1.weight": torch.randn(3, 5)}  # other images, other classes
    found = align(theirs, ours, channels=channels)
    assert found.orders == {}
    weight = flatten_kernels(theirs["w0.weight"])
    assert torch.equal(found.arrange("w0.weight", weight), weight)


def test_another_head_does_not_hinder_the_alignment():
    weights = draw_weights()
    orders = draw_orders(CHANNELS, 3)
    changed = choose(weights, CHANNELS, orders)
    changed["e.weight"] = torch.randn(11, 20)
    found = align(changed, weights)
    for group in CHANNELS:
        assert found.orders[group.name].tolist() == inverse(orders[group.name])


def test_without_channels_nothing_is_aligned():
    found = align(draw_weights(), draw_weights(1), channels=())
    assert (found.orders, found.sweeps) == ({}, 1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("a.weight", (17, 2, 3, 3)),
        ("b.weight", (24, 15, 3, 3)),
        ("b.weight", (23, 16, 3, 3)),
        ("d.weight", (20, 63)),
        ("d.weight", (20, 66)),
        ("e.weight", (5, 80)),
    ],
)
def test_a_suspect_whose_layers_do_not_fit_together_is_refused(name, shape):
    suspect = {**draw_weights(), name: torch.randn(shape)}
    with pytest.raises(
        OwnershipError, match=r"^the suspect's layers do not fit together: those that share the"
    ):
        align(suspect, draw_weights())


def test_columns_that_do_not_divide_among_the_pixels_are_refused_without_their_writer_too():
    suspect = {**draw_weights(), "d.weight": torch.randn(20, 63)}
    del suspect["c.weight"]
    with pytest.raises(OwnershipError, match="share the channels of 'c' differ in their number"):
        align(suspect, draw_weights())


@pytest.mark.parametrize("fill", [0.0, 1.0, 3e38])
def test_networks_without_any_structure_are_aligned_somehow(fill):
    suspect = {name: torch.full(shape, fill) for name, shape in SHAPES.items()}
    found = align(suspect, draw_weights())
    for group in CHANNELS:
        assert sorted(found.orders[group.name].tolist()) == list(range(group.size))
    assert found.sweeps <= 20


def test_an_alignment_knows_which_sides_are_settled():
    alignment = Alignment(CHANNELS)
    assert alignment.is_settled("a", rows=False)
    assert not alignment.is_settled("a", rows=True)
    alignment.orders["a"] = np.arange(16)
    assert alignment.is_settled("a", rows=True)
    assert alignment.is_settled("b", rows=False)
    assert alignment.is_settled("e", rows=True)
