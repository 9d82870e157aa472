from dataclasses import replace

import pytest
import torch

from lottery_pipeline.ownership.attacks import overwriting
from lottery_pipeline.ownership.attacks.overwriting import over_embed, overwrite
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.carriers import place_groups, plan_groups
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.mask_code import read_mark, sign_masks
from lottery_pipeline.ownership.signing import mark_of
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.verify import find_mark
from tests.ownership.attacks.victims import draw_victim, not_trained, pattern_of
from tests.ownership.marks import sign_chain
from tests.ownership.tiny_claims import RECIPE, tiny_claim, tiny_images

FC2 = "network.fc2.weight"


@pytest.fixture(scope="module")
def signed():
    return tiny_claim()


@pytest.fixture(scope="module")
def victim(signed):
    opened = signed.opened()
    return Victim(signed.claim.ticket, tiny_images(), RECIPE, 0, "cpu", insider=opened.mask_key, groups=128)


def read(signed, model):
    suspect = gather_suspect(model.state_dict(), signed.claim.ticket)
    return find_mark(signed.claim, suspect, signed.opened().mask_key, aligned=True)


def carriers_of(model, key, masks, groups=128):
    placed = place_groups(key, masks, plan_groups(masks, groups))
    return torch.cat(
        [model.get_parameter(n).detach().flatten()[torch.from_numpy(rows)] for n, rows in placed.items()]
    )


def test_the_groups_of_each_layer_follow_from_the_signed_masks(signed):
    planned = dict(signed.claim.bundle.commitment.code.groups)
    assert plan_groups(signed.claim.ticket.masks, 128) == planned
    assert plan_groups(signed.unsigned.masks, 128) == planned


@pytest.mark.parametrize("density", [0.08, 0.2, 0.5])
@pytest.mark.parametrize("dead", [(), (("b.weight", 0, 3), ("c.weight", 1, 5))])
def test_they_do_so_with_dead_channels_and_several_layers(density, dead):
    chain = sign_chain(density, seed=3, dead=dead)
    assert len(chain.mark.planned) == 3
    assert plan_groups(chain.masks, 144) == dict(chain.mark.planned)


def test_an_insider_moves_every_carrier(signed, victim, monkeypatch):
    monkeypatch.setattr(overwriting, "fine_tune", not_trained)
    before = carriers_of(victim.build(), victim.insider, victim.ticket.masks)
    after = carriers_of(overwrite(victim, knows_key=True), victim.insider, victim.ticket.masks)
    assert torch.equal((after != 0).sum(1), torch.ones(128, dtype=torch.int64))
    assert not bool(((before != 0) & (after != 0)).any())
    assert 0.05 < float(after[after != 0].std()) < 0.15


def test_an_insider_erases_the_mark(signed, victim):
    found = read(signed, overwrite(victim, knows_key=True))
    assert found.bits < 20
    assert not found.decoded


def test_without_the_key_the_mark_stays(signed, victim):
    found = read(signed, overwrite(replace(victim, insider=None), knows_key=False))
    assert found.bits > 300


def test_a_group_that_is_all_kept_keeps_one_carrier(monkeypatch):
    monkeypatch.setattr(overwriting, "fine_tune", not_trained)
    dense = draw_victim(density=0.9)
    model = overwrite(replace(dense, insider=bytes(32), groups=128), knows_key=True)
    carriers = carriers_of(model, bytes(32), dense.ticket.masks)
    assert torch.equal((carriers != 0).sum(1), torch.ones(128, dtype=torch.int64))


def test_what_an_overwriter_switched_on_stays_on_while_he_trains(victim, monkeypatch):
    trained = pattern_of(overwrite(victim, knows_key=True), victim)
    monkeypatch.setattr(overwriting, "fine_tune", not_trained)
    assert torch.equal(trained[FC2], pattern_of(overwrite(victim, knows_key=True), victim)[FC2])


def test_a_key_that_nobody_leaked_cannot_be_used(victim):
    with pytest.raises(OwnershipError, match="needs insider"):
        overwrite(replace(victim, insider=None), knows_key=True)


@pytest.mark.parametrize("attack", [lambda victim: overwrite(victim, knows_key=False), over_embed])
def test_a_mark_that_does_not_fit_is_refused(attack, victim):
    with pytest.raises(OwnershipError, match="this mask can hold"):
        attack(replace(victim, groups=100_000))


def test_a_second_mark_leaves_the_first_and_can_be_read_itself(signed, victim, monkeypatch):
    marks = []

    def spy(masks, mark, *rest):
        marks.append(mark)
        return sign_masks(masks, mark, *rest)

    monkeypatch.setattr(overwriting, "sign_masks", spy)
    model = over_embed(victim)
    assert read(signed, model).bits > 300
    weights = {name: model.get_parameter(name) for name in victim.ticket.masks}
    own = read_mark(weights, marks[0], victim.ticket.masks)
    assert own.decoded
    assert marks[0].key != victim.insider
    assert marks[0].payload != mark_of(signed.claim.bundle, victim.insider).payload
    kept = pattern_of(model, victim)
    assert {n: int(m.sum()) for n, m in kept.items()} == {
        n: int(m.sum()) for n, m in victim.ticket.masks.items()
    }
    assert not torch.equal(kept[FC2], victim.ticket.masks[FC2])
