from dataclasses import replace

import pytest
import torch

from lottery_pipeline.ownership.attacks import pruning
from lottery_pipeline.ownership.attacks.pruning import (
    prune_and_fine_tune,
    prune_band,
    prune_filters,
    prune_inactive,
    prune_layers,
    prune_magnitude,
    prune_random,
)
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.sparsity.masks import are_nested
from tests.ownership.attacks.victims import (
    count_left,
    draw_victim,
    logits_of,
    not_trained,
    pattern_of,
    same_masks,
    weights_of,
)


@pytest.fixture(scope="module")
def victim():
    return draw_victim()


@pytest.fixture(scope="module")
def residual():
    return draw_victim("resnet20")


@pytest.mark.parametrize("attack", [prune_magnitude, prune_random, prune_and_fine_tune])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_share_of_what_is_left_is_removed_exactly(attack, share, victim):
    kept = victim.ticket.kept
    model = attack(victim, share=share)
    assert count_left(model, victim) == kept - round(share * kept)
    assert are_nested(pattern_of(model, victim), victim.ticket.masks)


def test_magnitude_pruning_removes_the_smallest_of_all_layers(victim):
    pattern = pattern_of(prune_magnitude(victim, share=0.3), victim)
    state = victim.ticket.state
    removed = [state[name][victim.ticket.masks[name] & ~left].abs() for name, left in pattern.items()]
    kept = [state[name][left].abs() for name, left in pattern.items()]
    assert float(torch.cat(removed).max()) <= float(torch.cat(kept).min())


def test_random_pruning_removes_large_weights_too(victim):
    random, smallest = prune_random(victim, share=0.3), prune_magnitude(victim, share=0.3)
    assert not same_masks(pattern_of(random, victim), pattern_of(smallest, victim))


def test_pruning_by_layer_takes_the_same_share_of_the_chosen_layers_alone(victim):
    pattern = pattern_of(prune_layers(victim, share=0.2, layers=("network.fc2.weight",)), victim)
    before = victim.ticket.masks
    left = int(before["network.fc2.weight"].sum())
    assert int(pattern["network.fc2.weight"].sum()) == left - round(0.2 * left)
    assert torch.equal(pattern["network.fc1.weight"], before["network.fc1.weight"])


def test_pruning_by_layer_takes_the_layers_that_may_hold_a_mark(residual):
    pattern, before = pattern_of(prune_layers(residual, share=0.5), residual), residual.ticket.masks
    changed = {name for name in before if not torch.equal(pattern[name], before[name])}
    assert "network.layer3.2.conv2.weight" in changed
    assert not {"network.conv1.weight", "network.fc.weight"} & changed


def test_a_band_is_measured_as_the_margin_measures_its_floors(victim):
    """The layer for marks has small weights here, so the root mean square of all layers counts."""
    masks, state = victim.ticket.masks, victim.ticket.state
    pattern = pattern_of(prune_band(victim, low=0.75, high=1.5, fine_tuned=False), victim)
    kept = torch.cat([state[name][mask] for name, mask in masks.items()]).double()
    own = state["network.fc2.weight"][masks["network.fc2.weight"]].double()
    typical = max(float(kept.square().mean().sqrt()), float(own.square().mean().sqrt()))
    size = state["network.fc2.weight"].double().abs() / typical
    expected = masks["network.fc2.weight"] & ((size < 0.75) | (size >= 1.5))
    assert torch.equal(pattern["network.fc2.weight"], expected)
    assert 0 < int(expected.sum()) < int(masks["network.fc2.weight"].sum())
    assert torch.equal(pattern["network.fc1.weight"], masks["network.fc1.weight"])
    assert torch.equal(pattern["network.fc.weight"], masks["network.fc.weight"])


def test_a_band_of_a_layer_with_large_weights_is_measured_in_those_of_the_layer(victim):
    state, name = dict(victim.ticket.state), "network.fc2.weight"
    large = replace(victim, ticket=replace(victim.ticket, state=state | {name: 10 * state[name]}))
    pattern = pattern_of(prune_band(large, low=0.5, high=1.0, fine_tuned=False), large)
    own = state[name][victim.ticket.masks[name]]
    size = state[name].abs() / own.square().mean().sqrt()
    assert torch.equal(pattern[name], victim.ticket.masks[name] & ((size < 0.5) | (size >= 1.0)))


def test_fine_tuning_after_a_band_brings_nothing_back(victim):
    bare = pattern_of(prune_band(victim, low=0.75, high=1.5, fine_tuned=False), victim)
    trained = prune_band(victim, low=0.75, high=1.5, fine_tuned=True)
    assert same_masks(pattern_of(trained, victim), bare)
    assert not torch.equal(trained.network.fc.weight, victim.build().network.fc.weight)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1.5, 0.75), (-0.1, 1.0)])
def test_an_empty_band_is_refused(low, high, victim):
    with pytest.raises(OwnershipError, match="0 <= low < high"):
        prune_band(victim, low=low, high=high, fine_tuned=False)


def test_an_unknown_layer_is_refused(victim):
    with pytest.raises(OwnershipError, match=r"'network\.fc9\.weight' is not a prunable weight"):
        prune_layers(victim, share=0.2, layers=("network.fc9.weight",))


def test_a_silenced_filter_computes_what_a_removed_one_does(residual, monkeypatch):
    monkeypatch.setattr(pruning, "fine_tune", not_trained)
    silenced, removed = (prune_filters(residual, share=0.3, how=how) for how in ("zero", "narrow"))
    assert removed.network.layer1[0].conv1.out_channels == 16 - 5
    assert removed.network.layer1[0].conv2.in_channels == 16 - 5
    assert torch.allclose(logits_of(silenced), logits_of(removed), atol=1e-5)


def test_the_filters_of_smallest_norm_go_and_stay_away(residual):
    block = prune_filters(residual, share=0.5, how="zero").network.layer2[1]
    norms = residual.ticket.state["network.layer2.1.conv1.weight"].abs().sum((1, 2, 3))
    gone = ~block.conv1.weight.flatten(1).any(1)
    assert int(gone.sum()) == 16
    assert float(norms[gone].max()) <= float(norms[~gone].min())
    assert not bool(block.bn1.weight[gone].any() or block.bn1.bias[gone].any())


def test_fine_pruning_silences_the_least_active_channels(residual, monkeypatch):
    monkeypatch.setattr(pruning, "fine_tune", not_trained)
    pixels, read = residual.images.train.images / 255, []
    model = residual.build()
    model.network.layer1[0].conv2.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    with torch.no_grad():
        model(pixels)
    activity = read[0].mean((0, 2, 3))
    gone = ~prune_inactive(residual, share=0.25).network.layer1[0].conv1.weight.flatten(1).any(1)
    assert int(gone.sum()) == 4
    assert set(gone.nonzero().flatten().tolist()) == set(activity.argsort()[:4].tolist())


def test_fine_pruning_knows_linear_layers(victim):
    weights = weights_of(prune_inactive(victim, share=0.1), victim)
    assert int((~weights["network.fc1.weight"].any(1)).sum()) == 30


def test_filters_of_an_unknown_network_are_refused():
    victim = draw_victim("torchvision:squeezenet1_1", side=32)
    with pytest.raises(OwnershipError, match="channels of SqueezeNet are unknown"):
        prune_filters(victim, share=0.1, how="zero")


def test_a_network_without_a_place_for_a_mark_needs_names(victim, monkeypatch):
    monkeypatch.setattr(pruning, "list_live", lambda _: {})
    with pytest.raises(OwnershipError, match="no layer large enough"):
        prune_layers(victim, share=0.2)
    with pytest.raises(OwnershipError, match="no layer large enough"):
        prune_band(victim, low=0.75, high=1.5, fine_tuned=False)


@pytest.mark.parametrize("share", [0, 1.1])
def test_an_impossible_share_is_refused(share, victim):
    with pytest.raises(OwnershipError, match="share must be above 0 and at most 1"):
        prune_magnitude(victim, share=share)


def test_one_weight_is_left_at_the_least(victim):
    assert count_left(prune_magnitude(victim, share=1.0), victim) == 1
