from dataclasses import replace

import pytest
import torch

from lottery_pipeline.ownership.attacks import unlocking
from lottery_pipeline.ownership.attacks.unlocking import KINDS, try_unlocking
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.locking import lock_masks
from lottery_pipeline.sparsity.masks import are_nested, count_kept
from tests.ownership.tiny_claims import RECIPE, tiny_dense, tiny_images, tiny_ticket
from tests.tiny import same_bits


@pytest.fixture(scope="module")
def ticket():
    return tiny_ticket()


@pytest.fixture
def trained(monkeypatch):
    """The tickets that were trained; each is only marked as trained."""
    tickets = []

    class Training:
        def __init__(self, found, *_args, **_kwargs):
            tickets.append(found)
            self.ticket = found

    monkeypatch.setattr(unlocking, "retrain_ticket", Training)
    return tickets


def unlock(ticket, **changes):
    given = {"seed": 0, "share": 0.1, "score": "random", "device": "cpu", **changes}
    return try_unlocking(ticket, tiny_dense().rewind, tiny_images(), RECIPE, **given)


def test_every_way_is_tried_and_compared_with_the_right_key(ticket):
    rows = unlock(ticket, score="omp")
    assert [row["kind"] for row in rows] == list(KINDS)
    assert rows[0] == {
        "kind": "right key",
        "share": 0.1,
        "score": "omp",
        "kept": ticket.kept,
        "accuracy": rows[0]["accuracy"],
        "gap": 0.0,
        "restored": True,
    }
    for row in rows[1:]:
        assert row["gap"] == rows[0]["accuracy"] - row["accuracy"]
    assert rows[0]["accuracy"] > 0.9
    assert rows[-1]["gap"] > 0.1  # other start weights, in a ticket that starts from a rewind point


@pytest.mark.parametrize("score", ["omp", "ewp", "betweenness", "random"])
@pytest.mark.parametrize("share", [0.01, 0.15])
def test_the_right_key_restores_the_ticket_bit_by_bit(score, share, ticket, trained):
    [row] = unlock(ticket, kinds=("right key",), score=score, share=share)
    assert row["restored"]
    assert same_bits(trained[0].masks, ticket.masks)
    assert same_bits(trained[0].state, ticket.state)


def test_the_kinds_train_what_they_say(ticket, trained):
    rows = unlock(ticket)
    _, locked = lock_masks(ticket.masks, tiny_dense().rewind, score="random", share=0.1, seed=0)
    found = dict(zip(KINDS, trained, strict=True))
    size = int(0.1 * ticket.kept)
    for kind in ("locked only", "other start"):
        assert same_bits(found[kind].masks, locked)
        assert found[kind].kept == ticket.kept - size
    for kind in ("random key", "largest weights", "largest gradients"):
        assert found[kind].kept == ticket.kept
        assert are_nested(locked, found[kind].masks)
        for name, mask in found[kind].masks.items():
            assert torch.equal(found[kind].state[name], tiny_dense().rewind[name].masked_fill(~mask, 0.0))
    assert not any(row["restored"] for row in rows[1:])


def test_the_largest_weights_are_those_that_the_locked_part_lacks(ticket, trained):
    unlock(ticket, kinds=("largest weights",))
    _, locked = lock_masks(ticket.masks, tiny_dense().rewind, score="random", share=0.1, seed=0)
    grown = {name: mask & ~locked[name] for name, mask in trained[1].masks.items()}
    start = tiny_dense().rewind
    least = min(float(start[name][mask].abs().min()) for name, mask in grown.items() if mask.any())
    rest = max(float(start[name][~trained[1].masks[name]].abs().max()) for name in grown)
    assert count_kept(grown) == int(0.1 * ticket.kept)
    assert least >= rest


def test_gradients_are_those_of_the_locked_network(ticket, trained):
    unlock(ticket, kinds=("largest gradients",))
    _, locked = lock_masks(ticket.masks, tiny_dense().rewind, score="random", share=0.1, seed=0)
    state = {n: t * locked[n] if n in locked else t for n, t in tiny_dense().rewind.items()}
    model = ticket.build()
    model.load_state_dict(state)
    train = tiny_images().train
    torch.nn.functional.cross_entropy(model(train.images / 255), train.labels).backward()
    pull = {name: model.get_parameter(name).grad.abs() for name in locked}
    grown = {name: mask & ~locked[name] for name, mask in trained[1].masks.items()}
    least = min(float(pull[name][mask].min()) for name, mask in grown.items() if mask.any())
    rest = max(float(pull[name][~trained[1].masks[name]].max()) for name in grown)
    assert least >= rest - 1e-6


def test_other_start_weights_are_others(ticket, trained):
    unlock(ticket, kinds=("other start",))
    name = "network.fc1.weight"
    both = trained[1].masks[name]
    assert not bool((trained[1].state[name] == ticket.state[name])[both].any())


def test_the_seed_decides_what_is_drawn(ticket, trained):
    for seed in (0, 0, 1):
        unlock(ticket, kinds=("random key",), score="omp", seed=seed)
    first, again, other = trained[1::2]
    assert same_bits(first.masks, again.masks)
    assert not same_bits(first.masks, other.masks)


def test_an_unknown_way_is_refused(ticket):
    with pytest.raises(OwnershipError, match="'guess' is not a way to unlock; choose from right key"):
        unlock(ticket, kinds=("guess",))


def test_a_share_that_leaves_no_key_is_refused(ticket):
    with pytest.raises(OwnershipError, match="must hold 1 to"):
        unlock(ticket, share=1e-9)


def test_paths_need_a_network_whose_layers_are_known(ticket, trained, monkeypatch):
    monkeypatch.setattr(unlocking, "find_links", lambda _: [])
    with pytest.raises(OwnershipError, match="needs the links"):
        unlock(replace(ticket), score="ewp")
    assert not trained
