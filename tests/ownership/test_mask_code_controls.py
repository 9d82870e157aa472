"""What must not be found: strangers, relatives without the mark, wrong keys, and what liars prepare."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import kstest

from lottery_pipeline.ownership.alignment import align_channels, normalise_reference
from lottery_pipeline.ownership.carriers import carrier_masks, place_groups, plan_groups
from lottery_pipeline.ownership.mask_code import ALIGNMENT_CHARGE, Mark, read_mark, sign_masks
from lottery_pipeline.ownership.payload import draw_targets
from lottery_pipeline.ownership.reading import (
    count_matches,
    flatten_kernels,
    normalise_scale,
    read_groups,
)
from lottery_pipeline.ownership.significance import binomial_bits, randomised_p
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.ownership.marks import (
    CHANNELS,
    KEY,
    PAYLOAD,
    SHAPES,
    Signed,
    channels_of,
    choose,
    draw_masks,
    draw_weights,
    fill,
    key_of,
    read_with_all_means,
    sign_chain,
)
from tests.tiny import draw_ticket

DETECT = 64  # bits, for a claim that nobody else has dated


@pytest.fixture(scope="module")
def signed() -> Signed:
    return sign_chain(0.2)


def raw_aligned_bits(suspect, signed, reference=None) -> list[float]:
    """Evidence of the aligned readings, nothing charged."""
    placed = place_groups(signed.mark.key, signed.masks, signed.mark.planned)
    ours = normalise_reference(reference or signed.weights, carrier_masks(placed, signed.masks))
    alignment = align_channels(suspect, ours, CHANNELS)
    arranged = {name: alignment.arrange(name, w) for name, w in suspect.items()}
    bits = []
    for normalised in (False, True):
        scores = read_groups(arranged, placed, normalised=normalised)
        matches, counted = count_matches(scores, signed.mark.targets())
        bits.append(binomial_bits(matches, counted, 1 / 8))
    return bits


def draw_strangers(count: int):
    """Networks without a relation to the key: dense and sparse, even and uneven, and of other owners."""
    for seed in range(100, 100 + count):
        kind = seed % 5
        weights = draw_weights(seed, spread=0.6 * (kind in (1, 3)))
        if kind in (2, 3):
            weights = {name: w * draw_masks(0.2, seed)[name] for name, w in weights.items()}
        yield sign_chain(0.2, seed, key=key_of(seed)).weights if kind == 4 else weights


def test_unrelated_networks_show_no_evidence_through_the_full_alignment(signed):
    found = [read_with_all_means(stranger, signed) for stranger in draw_strangers(12)]
    assert len(found) == 12
    assert max(evidence.bits for evidence in found) < 10
    assert not any(evidence.decoded for evidence in found)


def test_the_surplus_of_alignment_stays_far_below_its_charge(signed):
    bits = [bit for stranger in draw_strangers(60) for bit in raw_aligned_bits(stranger, signed)]
    # A perfect p-value has 1.44 bits on average, a discrete one less.
    assert np.mean(bits) < 2
    assert max(bits) < ALIGNMENT_CHARGE / 2 + math.log2(60)


def test_the_unmarked_ticket_and_its_relatives_show_no_evidence(signed):
    dense = draw_weights()
    relatives = [
        {name: w * signed.unmarked[name] for name, w in dense.items()},  # trained, unsigned
        dense,  # the dense network it comes from
        {name: w * draw_masks(0.2, 55)[name] for name, w in dense.items()},  # another ticket of the same
        sign_chain(0.2, key=key_of(8)).weights,  # the same ticket, signed by a rival
    ]
    for relative in relatives:
        found = read_with_all_means(relative, signed)
        assert found.bits < 10
        assert not found.decoded


def test_a_resnet20_of_another_seed_shows_no_evidence():
    ticket, stranger = (draw_ticket("resnet20", width=4, seed=seed) for seed in (0, 1))
    mark = Mark(KEY, PAYLOAD, plan_groups(ticket.masks, 144))
    masks = sign_masks(ticket.masks, mark, ticket.state, ticket.state).masks
    weights = {name: stranger.state[name] for name in masks}
    own = {name: ticket.state[name] for name in masks}
    found = read_mark(weights, mark, masks, reference=own, channels=channels_of(ticket.build()))
    assert found.bits < 10


@pytest.mark.parametrize(
    "suspect",
    [
        {name: torch.ones(shape) for name, shape in SHAPES.items()},
        {name: torch.zeros(shape) for name, shape in SHAPES.items()},
        {name: mask.float() for name, mask in draw_masks(0.2, 31).items()},
        {},
    ],
    ids=["all ones", "all zeros", "random mask", "no layer"],
)
def test_masks_that_know_nothing_show_no_evidence(suspect, signed):
    found = read_with_all_means(suspect, signed)
    assert found.bits == 0
    assert not found.decoded


def test_wrong_keys_give_uniform_p_values_on_the_signed_network(signed):
    """2,000 keys, in the network's own order, raw and normalised."""
    dense = {name: flatten_kernels(w) for name, w in fill(signed.weights, 0.2).items()}
    normal = {name: normalise_scale(w) for name, w in dense.items()}
    uniform = np.random.default_rng(3).random((2000, 2))
    chances, most = [], 0.0
    for number in range(2000):
        mark = replace(signed.mark, key=key_of(number))
        placed, targets = place_groups(mark.key, signed.masks, mark.planned), mark.targets()
        for view, weights in enumerate((dense, normal)):
            matches, counted = count_matches(read_groups(weights, placed, normalised=False), targets)
            chances.append(randomised_p(matches, counted, 1 / 8, uniform[number, view]))
            most = max(most, binomial_bits(matches, counted, 1 / 8))
    assert kstest(chances[::2], "uniform").pvalue > 0.01
    assert kstest(chances[1::2], "uniform").pvalue > 0.01
    assert most < 40


def test_wrong_keys_find_nothing_with_all_means(signed):
    for number in range(6):
        stranger = replace(signed, mark=replace(signed.mark, key=key_of(number)))
        found = read_with_all_means(signed.weights, stranger)
        assert found.bits < 10
        assert not found.decoded


@pytest.mark.parametrize(
    "scores",
    [
        np.eye(8)[np.zeros(144, dtype=int)],
        np.eye(8)[np.arange(144) % 8],
        np.random.default_rng(0).random((144, 8)),
    ],
    ids=["always the first", "in turn", "random"],
)
def test_the_chance_of_a_match_is_one_in_eight_whatever_the_suspect_shows(scores):
    matches = [count_matches(scores, draw_targets(key_of(number), PAYLOAD, 144))[0] for number in range(2000)]
    tries = 2000 * 144
    assert abs(sum(matches) - tries / 8) < 4 * (tries * 7 / 64) ** 0.5
    # The counts spread as those of independent groups do.
    assert np.var(matches) == pytest.approx(144 * 7 / 64, rel=0.15)


def test_a_reference_made_to_pull_strangers_towards_the_targets_gains_less_than_is_charged():
    """Its weights lie in the kernels of the targets alone, around them: a liar's best reference."""
    signed = sign_chain(0.3, count=300)
    placed = place_groups(KEY, signed.masks, signed.mark.planned)
    targets, first, reference = signed.mark.targets(), 0, {}
    for name, shape in SHAPES.items():
        reference[name] = 1e-3 * torch.rand(shape, generator=make_generator(1))
        kernels = reference[name].view(*shape[:2], -1)
        for group in placed.get(name, []):
            row, column = divmod(int(group[targets[first]]) // kernels.shape[2], shape[1])
            kernels[row, column] += 1.0
            first += 1
    bits = []
    for seed in range(200, 215):
        bits += raw_aligned_bits(draw_weights(seed, spread=0.4 + 0.05 * (seed % 20)), signed, reference)
    assert np.mean(bits) < 2
    assert max(bits) < ALIGNMENT_CHARGE / 2


def bury(weights, alive):
    """Let every channel die that is not named."""
    buried = {name: w.clone() for name, w in weights.items()}
    for group in CHANNELS:
        dead = torch.tensor([channel not in alive[group.name] for channel in range(group.size)])
        for layer in group.outputs:
            if f"{layer}.weight" in buried:
                buried[f"{layer}.weight"][dead] = 0
        for layer, pixels in group.inputs:
            if f"{layer}.weight" in buried:
                buried[f"{layer}.weight"][:, dead.repeat_interleave(pixels)] = 0
    return buried


def test_a_reference_whose_dead_channels_spare_the_targets_gains_less_than_is_charged():
    """A liar lets those channels live in which most targets are; strangers with dead channels follow."""
    signed = sign_chain(0.3, count=130, shapes=SHAPES)
    placed, targets = place_groups(KEY, signed.masks, signed.mark.planned), signed.mark.targets()
    wish, first = {}, 0
    for name, groups in placed.items():
        pairs = torch.zeros(SHAPES[name][:2])
        for group in groups.tolist():
            for index, place in enumerate(group):
                row, column = divmod(place // math.prod(SHAPES[name][2:]), SHAPES[name][1])
                pairs[row, column] += 1.0 if index == targets[first] else -1 / 7
            first += 1
        wish[name] = pairs
    alive = {group.name: set(range(group.size)) for group in CHANNELS}
    for _ in range(6):
        for group in CHANNELS:
            gain = torch.zeros(group.size)
            reduced = bury(wish, {**alive, group.name: set(range(group.size))})
            for layer in group.outputs:
                gain += reduced.get(f"{layer}.weight", torch.zeros(group.size, 1)).sum(1)
            for layer, pixels in group.inputs:
                if f"{layer}.weight" in reduced:
                    gain += reduced[f"{layer}.weight"].sum(0).view(-1, pixels).sum(1)
            alive[group.name] = set(gain.topk(group.size // 2).indices.tolist())
    reference = bury(draw_weights(1), alive)
    honest, fooled = [], []
    for seed in range(300, 306):
        generator = make_generator(seed)
        half = {
            group.name: set(torch.randperm(group.size, generator=generator)[: group.size // 2].tolist())
            for group in CHANNELS
        }
        stranger = bury(draw_weights(seed), half)
        found = read_mark(stranger, signed.mark, signed.masks, reference=reference, channels=CHANNELS)
        honest.append(found.bits)
        fooled += raw_aligned_bits(stranger, signed, reference)
    assert max(honest) < 10
    assert max(fooled) > 20  # what all groups would show, a chance of 1/8 each


def arrange_for(key_groups, targets, weights):
    """Order the channels of a network of others so that it shows a key's symbols; what a liar does."""
    wish = {name: torch.zeros(shape).reshape(*shape[:2], -1).double() for name, shape in SHAPES.items()}
    first = 0
    for name, groups in key_groups.items():
        flat = wish[name].view(-1)
        for group in groups.tolist():
            flat[group] = -1 / 7
            flat[group[targets[first]]] = 1.0
            first += 1
    orders = {group.name: list(range(group.size)) for group in CHANNELS}
    for _ in range(6):
        for group in CHANNELS:
            others = {name: order for name, order in orders.items() if name != group.name}
            now = {name: flatten_kernels(w) for name, w in choose(weights, CHANNELS, others).items()}
            gain = sum(
                wish[f"{name}.weight"].flatten(1) @ now[f"{name}.weight"].flatten(1).T
                for name in group.outputs
            )
            for name, _ in group.inputs:
                sides = [
                    side[f"{name}.weight"].reshape(len(now[f"{name}.weight"]), group.size, -1).transpose(0, 1)
                    for side in (wish, now)
                ]
                gain = gain + sides[0].flatten(1) @ sides[1].flatten(1).T
            orders[group.name] = linear_sum_assignment(gain.numpy(), maximize=True)[1].tolist()
    return choose(weights, CHANNELS, orders)


def test_a_reference_that_was_chosen_for_the_suspect_proves_anything_so_it_is_not_used():
    suspect = draw_weights(9, spread=0.5)
    masks = draw_masks(0.3)
    mark = Mark(KEY, PAYLOAD, plan_groups(masks, 144))
    reference = arrange_for(place_groups(KEY, masks, mark.planned), mark.targets(), suspect)

    fooled = read_mark(suspect, mark, masks, reference=reference, channels=CHANNELS)
    refused = read_mark(suspect, mark, masks, charged_tries=16)

    assert fooled.bits > DETECT
    assert refused.bits < 1
    assert refused.tries == fooled.tries
