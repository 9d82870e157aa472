import inspect
from dataclasses import replace

import pytest

from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.ownership.attacks import ATTACKS, CLAIM_TRIALS
from lottery_pipeline.ownership.attacks.grids import GRIDS
from tests.ownership.attacks.victims import draw_trained, draw_victim
from tests.tiny import draw_images, same_bits

QUICK = [(attack, point) for attack in ATTACKS.values() for point in attack.quick]


@pytest.fixture(scope="module")
def victim():
    found = draw_victim("resnet20")
    other = draw_trained(found.images, "resnet20", seed=1)
    insider = bytes(range(32))
    return replace(found, other=other, other_images=draw_images(side=8, classes=4), insider=insider)


def test_every_attack_of_the_study_has_one_row_in_one_of_the_two_tables():
    assert sorted([*ATTACKS, *CLAIM_TRIALS]) == sorted(f"A{number}" for number in range(32))
    assert all(name == row.id for table in (ATTACKS, CLAIM_TRIALS) for name, row in table.items())
    assert set(CLAIM_TRIALS) == {"A20", "A21"}


def test_the_rows_stand_in_the_order_of_their_numbers():
    assert list(ATTACKS) == sorted(ATTACKS, key=lambda name: int(name[1:]))


def test_every_grid_belongs_to_an_attack():
    assert set(GRIDS) <= set(ATTACKS)
    assert all(ATTACKS[name].grid == grid.full for name, grid in GRIDS.items())
    assert (ATTACKS["A0"].grid, ATTACKS["A0"].quick) == (({},), ({},))


def test_names_and_sentences_are_unique():
    for field in ("name", "sentence"):
        values = [getattr(row, field) for table in (ATTACKS, CLAIM_TRIALS) for row in table.values()]
        assert len(set(values)) == len(values)


def test_every_point_has_parameters_of_its_attack():
    for attack in ATTACKS.values():
        assert 1 <= len(attack.quick) <= 2
        assert len({str(point) for point in attack.grid}) == len(attack.grid)
        for point in (*attack.grid, *attack.quick):
            bound = inspect.signature(attack.run).bind(None, **point)
            assert list(bound.kwargs) == list(point)


def test_the_grids_are_those_of_the_study():
    sizes = {name: len(attack.grid) for name, attack in ATTACKS.items()}
    assert sizes["A1"] == sizes["A2"] == 3 * 2 * 2
    assert (sizes["A3"], sizes["A5"], sizes["A8"], sizes["A10"], sizes["A11"]) == (4, 10, 9, 8, 20)
    assert (sizes["A18"], sizes["A19"], sizes["A31"]) == (6, 3, 8)
    assert ATTACKS["A13"].grid[-1] == {"scope": "all", "fine_tuned": True}


def test_a_row_knows_the_module_of_its_attack():
    assert ATTACKS["A0"].family == "victim"
    assert ATTACKS["A28"].family == "pruning"
    assert ATTACKS["A19"].family == "overwriting"


@pytest.mark.parametrize(("attack", "point"), QUICK, ids=lambda value: str(getattr(value, "id", value)))
def test_a_quick_point_gives_the_same_network_twice_and_leaves_the_victim_alone(attack, point, victim):
    before = {name: tensor.clone() for name, tensor in victim.ticket.state.items()}
    pixels = victim.images.train.images.clone()
    first, second = attack.run(victim, **point), attack.run(victim, **point)
    assert isinstance(first, Classifier)
    assert not any(module.training for module in first.modules())
    assert all(parameter.requires_grad and parameter.is_cpu for parameter in first.parameters())
    assert same_bits(first.state_dict(), second.state_dict())
    assert same_bits(victim.ticket.state, before)
    assert victim.images.train.images.equal(pixels)


@pytest.mark.parametrize("seed", [3, 4])
def test_the_seed_of_the_victim_decides_what_is_drawn(seed, victim):
    run = ATTACKS["A13"].run
    changed = run(replace(victim, seed=seed), scope="all").state_dict()
    assert same_bits(changed, run(victim, scope="all").state_dict()) == (seed == victim.seed)
