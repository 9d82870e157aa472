import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.ownership.carriers import (
    bound_groups,
    bound_groups_at,
    carrier_masks,
    fingerprint_live,
    list_live,
    place_groups,
    plan_groups,
)
from lottery_pipeline.ownership.errors import NoRoomError, OwnershipError
from tests.ownership.marks import KEY, SHAPES, draw_masks, key_of, sign_chain
from tests.reference.mask_code_naive import live_naive, place_naive


def every_fifth(name: str = "middle", shape: tuple[int, ...] = (16, 16, 3, 3)) -> dict[str, torch.Tensor]:
    """Masks without any random number: a first layer, the one that carries, a last one."""
    middle = (torch.arange(int(np.prod(shape))) % 5 == 0).reshape(shape)
    edge = torch.ones(16, 16, dtype=torch.bool)
    return {"first": edge, name: middle, "last": edge}


def test_a_known_placement():
    masks = every_fifth()
    assert plan_groups(masks, 3) == {"middle": 3}
    # The 24 live places with the smallest of the numbers that openssl dgst -shake256 gives for this layer.
    assert place_groups(KEY, masks, {"middle": 3})["middle"].tolist() == [
        [1673, 1541, 909, 1923, 1475, 1614, 111, 1588],
        [680, 404, 2015, 2098, 275, 957, 1520, 115],
        [2128, 1061, 1212, 9, 342, 1746, 433, 2131],
    ]


@pytest.mark.parametrize("seed", range(3))
def test_live_pairs_and_placement_are_those_of_the_naive_twin(seed):
    dead = [("b.weight", 0, 3), ("b.weight", 1, 7), ("c.weight", 1, 0), ("d.weight", 1, 5)]
    masks = draw_masks(0.03 + 0.1 * seed, seed, dead=dead)
    planned = {"b.weight": 9, "c.weight": 30, "d.weight": 4}
    live, placed = list_live(masks), place_groups(key_of(seed), masks, planned)
    assert list(live) == list(placed) == ["b.weight", "c.weight", "d.weight"]
    for name, groups in planned.items():
        assert live[name].tolist() == live_naive(masks[name])
        assert placed[name].tolist() == place_naive(key_of(seed), name, masks[name], groups)


def test_the_first_and_the_last_layer_and_small_ones_cannot_carry():
    masks = draw_masks(
        1.0, shapes={"a": (64, 64), "b": (17, 15), "c": (16, 16), "d": (8, 32, 1, 1), "e": (64, 64)}
    )
    assert list(list_live(masks)) == ["c", "d"]


def test_no_carrier_is_in_a_dead_channel():
    masks = draw_masks(0.2, dead=[("b.weight", 0, 3), ("c.weight", 1, 11)])
    planned = {"b.weight": 400, "c.weight": 800}
    carriers = carrier_masks(place_groups(KEY, masks, planned), masks)
    assert [int(carriers[name].sum()) for name in planned] == [3200, 6400]
    assert not carriers["b.weight"][3].any()
    assert not carriers["c.weight"][:, 11].any()
    assert carriers["b.weight"].shape == SHAPES["b.weight"]


@settings(max_examples=40)
@given(st.floats(0.02, 0.9), st.integers(0, 10**6), st.integers(1, 200))
def test_a_plan_gives_each_layer_its_share_and_never_more_than_it_holds(density, seed, count):
    masks = draw_masks(density, seed)
    live = list_live(masks)
    room = {}
    for name, pairs in live.items():
        places = int(pairs.sum()) * masks[name][0, 0].numel()
        kept = int(masks[name].sum())
        room[name] = min(kept // 4, places // 16, (places - kept) // 14)
    total = sum(room.values())
    if total < count:
        with pytest.raises(OwnershipError, match=f"can hold {total} groups .* needs {count};"):
            plan_groups(masks, count)
        return
    planned = plan_groups(masks, count)
    assert sum(planned.values()) == count
    assert list(planned) == [name for name in room if name in planned]
    for name in room:
        share = count * room[name] / total
        assert planned.get(name, 0) <= room[name]
        assert abs(planned.get(name, 0) - share) < 1
    placed = place_groups(KEY, masks, planned)
    for name, groups in placed.items():
        assert groups.shape == (planned[name], 8)
        assert len(np.unique(groups)) == groups.size
        assert live[name].reshape(-1)[groups // masks[name][0, 0].numel()].all()


def test_plan_and_live_channels_of_the_signed_masks_are_those_of_the_unmarked():
    for density in (0.05, 0.2, 0.5):
        signed = sign_chain(density, count=40, dead=[("b.weight", 0, 3), ("c.weight", 1, 11)])
        assert plan_groups(signed.masks, 40) == plan_groups(signed.unmarked, 40)
        assert fingerprint_live(signed.masks) == fingerprint_live(signed.unmarked)
        before = place_groups(KEY, signed.unmarked, signed.mark.planned)
        after = place_groups(KEY, signed.masks, signed.mark.planned)
        assert all((before[name] == after[name]).all() for name in before)


def test_live_channels_have_a_fingerprint():
    assert fingerprint_live(draw_masks(0.2)) != fingerprint_live(draw_masks(0.2, dead=[("b.weight", 0, 3)]))
    assert fingerprint_live(draw_masks(0.9)) == fingerprint_live(draw_masks(0.9, seed=1))


def test_carriers_of_two_keys_have_no_more_in_common_than_chance():
    masks = draw_masks(0.2)
    planned = {"c.weight": 200}
    chosen = [carrier_masks(place_groups(key_of(k), masks, planned), masks)["c.weight"] for k in range(2)]
    places = 32 * 24 * 9
    expected, spread = 1600**2 / places, (1600 * (1600 / places) * (1 - 1600 / places)) ** 0.5
    assert abs(int((chosen[0] & chosen[1]).sum()) - expected) < 5 * spread


@pytest.mark.parametrize(
    ("masks", "holds"),
    [
        (draw_masks(1.0), 0),
        ({name: torch.zeros(shape, dtype=torch.bool) for name, shape in SHAPES.items()}, 0),
        (draw_masks(0.4, shapes={"a": (300, 100), "b": (16, 15), "c": (10, 300)}), 0),
        (draw_masks(0.4, shapes={"a": (300, 100), "c": (10, 300)}), 0),
        (every_fifth(), 115),
    ],
    ids=["all kept", "none kept", "tiny layers", "no inner layer", "too sparse"],
)
def test_a_mask_without_room_is_refused_in_one_sentence(masks, holds):
    with pytest.raises(OwnershipError) as error:
        plan_groups(masks, 128)
    said = str(error.value)
    assert said.startswith(f"this mask can hold {holds} groups of 8 carriers, but the mark needs 128; choose")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("planned", "words"),
    [
        ({"nonesuch.weight": 1}, "names layer 'nonesuch.weight', which this ticket cannot mark"),
        ({"a.weight": 1}, "names layer 'a.weight', which this ticket cannot mark"),
        ({"d.weight": 161}, "161 groups in 'd.weight', whose 1280 live weights hold 160"),
        ({"b.weight": 2**20}, "1048576 groups in 'b.weight', whose 3456 live weights hold 432"),
    ],
)
def test_a_credential_that_does_not_fit_the_ticket_is_refused(planned, words):
    with pytest.raises(OwnershipError, match=words):
        place_groups(KEY, draw_masks(0.6), planned)


def test_every_live_weight_can_be_a_carrier():
    groups = place_groups(KEY, draw_masks(0.6), {"d.weight": 160})["d.weight"]
    assert sorted(groups.reshape(-1).tolist()) == list(range(1280))


def test_no_mask_holds_more_groups_than_what_is_said_before_it_is_known():
    generator = torch.Generator().manual_seed(0)
    shapes = [(32, 3, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3), (15, 17), (10, 64)]
    largest = 0
    for density in (0.02, 0.1, 2 / 9, 0.25, 0.5, 0.9, 0.99):
        masks = {str(n): torch.rand(shape, generator=generator) < density for n, shape in enumerate(shapes)}
        kept = [int(mask.sum()) for mask in masks.values()]
        bound = bound_groups(list(zip(shapes, kept, strict=True)))
        plan_groups(masks, bound)  # random masks have no dead channels
        with pytest.raises(NoRoomError):
            plan_groups(masks, bound + 1)
        assert bound <= bound_groups_at(shapes, sum(kept)) <= bound_groups_at(shapes, None)
        largest = max(largest, bound)
    # 9,216 and 18,432 weights can carry; a group keeps 4 and leaves 14 off.
    assert bound_groups_at(shapes, None) == 512 + 1024
    assert largest > 0.9 * (512 + 1024)
    assert bound_groups_at(shapes, 40) == 10
    assert bound_groups_at(shapes, 29_407 - 28) == 2
