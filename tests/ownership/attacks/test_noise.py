import pytest
import torch

from lottery_pipeline.ownership.attacks.noise import add_weights, fill_zeros
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.tickets.ticket import make_ticket
from tests.ownership.attacks.victims import count_left, draw_victim, logits_of, pattern_of, weights_of


@pytest.fixture(scope="module")
def victim():
    return draw_victim(density=0.1)


def test_added_weights_are_as_many_and_as_large_as_asked(victim):
    weights = weights_of(add_weights(victim, probability=0.1, std=0.5), victim)
    state, masks = victim.ticket.state, victim.ticket.masks
    added = torch.cat([weights[name][~mask] for name, mask in masks.items()])
    values = added[added != 0]
    expected = 0.1 * len(added)
    assert abs(len(values) - expected) < 5 * (0.9 * expected) ** 0.5
    assert float(values.std()) == pytest.approx(0.5, rel=0.1)
    assert all(torch.equal(weights[name][mask], state[name][mask]) for name, mask in masks.items())


def test_training_after_the_noise_keeps_the_new_weights_and_no_more(victim):
    plain = add_weights(victim, probability=0.05, std=0.1)
    trained = add_weights(victim, probability=0.05, std=0.1, fine_tuned=True)
    assert count_left(trained, victim) == count_left(plain, victim)
    assert not torch.equal(logits_of(trained), logits_of(plain))


def test_no_zero_is_left_and_the_dust_has_its_size(victim):
    model = fill_zeros(victim, epsilon=1e-2)
    assert all(bool(pattern.all()) for pattern in pattern_of(model, victim).values())
    name = "network.fc1.weight"
    mask, before = victim.ticket.masks[name], victim.ticket.state[name]
    size = float(before[mask].square().mean().sqrt())
    dust = weights_of(model, victim)[name][~mask]
    assert float(dust.std()) == pytest.approx(1e-2 * size, rel=0.05)
    assert torch.allclose(logits_of(model), logits_of(victim.build()), atol=0.3)


def test_an_empty_layer_is_filled_too(victim):
    ticket = victim.ticket
    name = "network.fc2.weight"
    masks = {**ticket.masks, name: torch.zeros_like(ticket.masks[name])}
    header = ticket.header
    empty = make_ticket(
        method="ltr",
        spec=header.spec,
        masks=masks,
        state=ticket.state,
        seed=0,
        rewind_step=0,
        parents={},
        kind="trained",
    )
    filled = draw_victim(ticket=empty)
    assert bool(pattern_of(fill_zeros(filled, epsilon=1e-4), filled)[name].all())


def test_dust_hardly_changes_a_network_with_batch_norm():
    victim = draw_victim("resnet20")
    clean, dusty = fill_zeros(victim, epsilon=1e-8), fill_zeros(victim, epsilon=1e-7)
    assert torch.allclose(logits_of(clean), logits_of(dusty), atol=1e-3)


def test_a_probability_of_0_is_refused(victim):
    with pytest.raises(OwnershipError, match="probability must be above 0"):
        add_weights(victim, probability=0.0, std=0.1)
