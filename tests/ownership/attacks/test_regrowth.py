from functools import partial

import pytest
import torch

from lottery_pipeline.ownership.attacks import regrowth
from lottery_pipeline.ownership.attacks.regrowth import prune_and_regrow
from lottery_pipeline.ownership.attacks.training import measure_gradients
from lottery_pipeline.ownership.errors import OwnershipError
from tests.ownership.attacks.victims import draw_victim, pattern_of


@pytest.fixture(scope="module")
def victim():
    return draw_victim()


@pytest.fixture
def trainings(monkeypatch):
    """Masks and epochs of every fine-tuning; nothing is trained."""
    calls = []

    def record(_victim, model, label, *, masks, epochs, **_):
        calls.append((label, masks, epochs))
        return model

    monkeypatch.setattr(regrowth, "fine_tune", record)
    return calls


def test_every_layer_swaps_its_share_and_keeps_its_count(victim, trainings):
    prune_and_regrow(victim, share=0.2)
    [(_, masks, _)] = trainings
    for name, before in victim.ticket.masks.items():
        moved = min(round(0.2 * int(before.sum())), int((~before).sum()))
        assert int(masks[name].sum()) == int(before.sum())
        assert int((before & ~masks[name]).sum()) == moved


def test_the_smallest_weights_go_and_the_largest_gradients_come(victim, trainings):
    prune_and_regrow(victim, share=0.2)
    name = "network.fc2.weight"
    before, after = victim.ticket.masks[name], trainings[0][1][name]
    sizes = victim.ticket.state[name].abs()
    assert float(sizes[before & ~after].max()) <= float(sizes[before & after].min())
    gradient = measure_gradients(victim, victim.build(), "A10", "gradient", 0)[name].abs()
    assert float(gradient[after & ~before].min()) >= float(gradient[~after & ~before].max())


def test_the_gradient_reaches_pruned_weights(victim):
    gradient = measure_gradients(victim, victim.build(), "A10", "gradient", 0)["network.fc.weight"]
    assert bool(gradient[~victim.ticket.masks["network.fc.weight"]].any())


def test_five_cycles_share_the_training(victim, trainings):
    longer = draw_victim(recipe=victim.recipe.replace(epochs=100))
    prune_and_regrow(longer, share=0.1, cycles=5)
    assert [(label, epochs) for label, _, epochs in trainings] == [(f"A10/{cycle}", 2) for cycle in range(5)]
    first, second = trainings[0][1], trainings[1][1]
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_training_fills_the_new_places_and_no_others(victim, monkeypatch):
    used = []
    original = regrowth.fine_tune

    def spy(*args, masks, **kwargs):
        used.append(masks)
        return original(*args, masks=masks, **kwargs)

    monkeypatch.setattr(regrowth, "fine_tune", spy)
    pattern = pattern_of(prune_and_regrow(victim, share=0.3), victim)
    name = "network.fc2.weight"
    assert bool((pattern[name] <= used[0][name]).all())
    assert int(pattern[name].sum()) > 0.95 * int(used[0][name].sum())


def test_an_impossible_share_is_refused(victim):
    attack = partial(prune_and_regrow, victim)
    with pytest.raises(OwnershipError, match="share must be above 0"):
        attack(share=0)
