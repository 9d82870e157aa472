import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lottery_pipeline.ownership.carriers import carrier_masks, list_live, place_groups, plan_groups
from lottery_pipeline.ownership.embedding import mark_masks
from lottery_pipeline.ownership.errors import NoRoomError, OwnershipError
from lottery_pipeline.ownership.mask_code import Mark, read_mark, sign_masks
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from tests.ownership.marks import (
    KEY,
    PAYLOAD,
    SHAPES,
    Signed,
    draw_gradients,
    draw_masks,
    draw_weights,
    key_of,
    sign_chain,
)
from tests.reference.mask_code_naive import expect_edits, fewest_naive, mark_naive


def groups_by_layer(signed: Signed):
    """Yield name, groups and targets of each layer."""
    placed = place_groups(signed.mark.key, signed.unmarked, signed.mark.planned)
    targets, first = signed.mark.targets(), 0
    for name, groups in placed.items():
        yield name, groups.tolist(), targets[first : first + len(groups)].tolist()
        first += len(groups)


def misfits(unmarked: dict[str, torch.Tensor], mark: Mark) -> list[str]:
    """Return the layers of which no mask has these carriers, its count and its channels."""
    placed, targets, first, found = place_groups(mark.key, unmarked, mark.planned), mark.targets(), 0, []
    for name, groups in placed.items():
        own = targets[first : first + len(groups)].tolist()
        first += len(groups)
        if fewest_naive(unmarked[name], groups.tolist(), own) > int(unmarked[name].sum()):
            found.append(name)
    return found


def assert_well_marked(signed: Signed) -> None:
    before, after = signed.unmarked, signed.masks
    carriers = carrier_masks(place_groups(signed.mark.key, before, signed.mark.planned), before)
    live, edits = list_live(before), 0
    assert list(after) == list(before)
    for name, mask in before.items():
        changed = mask ^ after[name]
        edits += int(changed.sum())
        assert int(after[name].sum()) == int(mask.sum())
        if name not in carriers:
            assert not changed.any()
            continue
        pairs = live[name].reshape(*live[name].shape, *[1] * (mask.dim() - 2))
        assert not (changed & ~pairs).any()
    for name, groups, targets in groups_by_layer(signed):
        kept = after[name].reshape(-1)[torch.tensor(groups)]
        assert kept.sum(1).tolist() == [1] * len(groups)
        assert kept.int().argmax(1).tolist() == targets
        own = signed.marking.kept_carriers[name]
        assert torch.equal(own, after[name] & carriers[name])
    assert signed.marking.edits == edits
    for name, pairs in list_live(after).items():
        assert torch.equal(pairs, live[name])


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3, 0.6])
def test_exactly_one_carrier_of_each_group_is_kept_and_nothing_else_can_be_seen(density):
    assert_well_marked(sign_chain(density, count=20 if density < 0.1 else 144))


def test_dead_channels_stay_dead():
    dead = [("b.weight", 0, 3), ("b.weight", 1, 7), ("c.weight", 0, 30), ("d.weight", 1, 5)]
    signed = sign_chain(0.3, dead=dead)
    assert_well_marked(signed)
    for name, axis, channel in dead:
        assert not signed.masks[name].select(axis, channel).any()


layer_shapes = st.one_of(
    st.tuples(st.integers(16, 40), st.integers(16, 40), st.just(3), st.just(3)),
    st.tuples(st.integers(16, 60), st.integers(16, 60), st.just(1), st.just(1)),
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
)


@settings(max_examples=20)
@given(
    st.lists(layer_shapes, min_size=1, max_size=3),
    st.floats(0.02, 0.6),
    st.integers(0, 10**6),
    st.floats(0.1, 1),
)
def test_any_mask_with_room_is_marked_and_read_without_training(shapes, density, seed, share):
    named = {"first": (40, 3, 3, 3), **{f"layer{i}": s for i, s in enumerate(shapes)}, "last": (10, 20)}
    unmarked = draw_masks(density, seed, shapes=named)
    with pytest.raises(OwnershipError) as error:
        plan_groups(unmarked, 10**6)
    most = int(str(error.value).split("can hold ")[1].split()[0])
    count = max(1, int(share * most))
    assume(most > 0)
    if misfits(unmarked, Mark(key_of(seed), PAYLOAD, plan_groups(unmarked, count))):
        with pytest.raises(NoRoomError, match=r"choose another number of groups, which draws other carriers"):
            sign_chain(density, seed, count=count, key=key_of(seed), shapes=named)
        return
    signed = sign_chain(density, seed, count=count, key=key_of(seed), shapes=named)
    assert_well_marked(signed)
    found = read_mark(signed.weights, signed.mark, signed.masks)
    assert (found.best.matches, found.best.counted) == (count, count)
    assert found.decoded == (count >= 43)  # symbols of 16 bytes; the other 32 bytes may be missing


@pytest.mark.parametrize("density", [0.06, 0.12, 0.2, 0.5])
def test_the_number_of_edits_is_as_predicted_for_random_masks(density):
    signed = sign_chain(density, 3, count=120)
    flips = mean = variance = 0.0
    given_back = 0
    for name, groups, targets in groups_by_layer(signed):
        before = signed.unmarked[name]
        marked = mark_naive(before, groups, targets)
        expected = expect_edits(before, groups)
        flips, mean, variance = (
            flips + int((marked ^ before).sum()),
            mean + expected[0],
            variance + expected[1],
        )
        given_back += abs(int(before.sum()) - int(marked.sum()))
    assert abs(flips - mean) <= 5 * variance**0.5
    assert mean == pytest.approx(120 * (6 * density + 1), rel=0.15)
    assert given_back <= abs(120 * (8 * density - 1)) + 5 * (120 * 8 * density) ** 0.5
    # A channel that lost its last weight is revived, which costs an edit, and another to give that back.
    assert flips + given_back <= signed.marking.edits <= flips + given_back + 16


def test_signing_is_deterministic_and_depends_on_key_payload_and_trial():
    def sign(key=KEY, payload=PAYLOAD, trial=0):
        masks = draw_masks(0.2)
        mark = Mark(key, payload, plan_groups(masks, 144), trial, 4)
        return fingerprint_tensors(sign_masks(masks, mark, draw_gradients(), draw_weights()).masks)

    assert sign() == sign()
    assert len({sign(), sign(key=key_of(1)), sign(payload=bytes(16)), sign(trial=1)}) == 4


def test_the_masks_given_stay_as_they_are():
    masks = draw_masks(0.2)
    before = fingerprint_tensors(masks)
    sign_masks(masks, Mark(KEY, PAYLOAD, plan_groups(masks, 144)), draw_gradients(), draw_weights())
    assert fingerprint_tensors(masks) == before


def small(kept: list[int]) -> dict[str, torch.Tensor]:
    """A middle layer of 16 x 16 weights that keeps the given flat places."""
    middle = torch.zeros(256, dtype=torch.bool)
    middle[kept] = True
    return {
        "first": torch.ones(4, 4, dtype=torch.bool),
        "middle": middle.view(16, 16),
        "last": torch.ones(4, 4, dtype=torch.bool),
    }


DIAGONAL = [17 * i for i in range(16)]


def mark_small(kept, groups, targets, gradient=None, weight=None):
    fill = torch.arange(1.0, 257.0).view(16, 16)
    return mark_masks(
        small(kept),
        {"middle": np.array(groups)},
        np.array(targets),
        {"middle": fill if gradient is None else gradient},
        {"middle": torch.ones(16, 16) if weight is None else weight},
    )


def kept_places(marking) -> list[int]:
    return marking.masks["middle"].reshape(-1).nonzero().flatten().tolist()


def test_what_a_layer_lacks_is_added_where_the_gradient_is_largest():
    extra = [1, 2, 3]  # kept carriers that go, beside the target 4
    gradient = torch.zeros(16, 16)
    gradient.view(-1)[[40, 60, 80, 5]] = torch.tensor([-3.0, 1.0, 2.0, 9.0])  # 5 is a carrier
    marking = mark_small([*DIAGONAL, *extra], [[1, 2, 3, 4, 5, 6, 7, 8]], [3], gradient)
    # 3 kept carriers go, 1 comes: 2 are lacking.
    assert kept_places(marking) == sorted([*DIAGONAL, 4, 40, 80])
    assert marking.edits == 3 + 1 + 2


def test_what_a_layer_has_too_much_goes_where_the_product_of_gradient_and_weight_is_smallest():
    removable = [1, 2, 3]
    gradient, weight = torch.ones(16, 16), torch.ones(16, 16)
    gradient.view(-1)[[1, 2, 3]] = torch.tensor([5.0, -1.0, 2.0])
    weight.view(-1)[[1, 2, 3]] = torch.tensor([0.1, 0.7, -0.4])  # products 0.5, 0.7, 0.8
    gradient.view(-1)[DIAGONAL] = 0.0  # would go first, but each is the last of its channels
    marking = mark_small([*DIAGONAL, *removable], [[69, 36, 37, 38, 39, 40, 41, 42]], [0], gradient, weight)
    assert kept_places(marking) == sorted([*DIAGONAL, 2, 3, 69])
    assert marking.edits == 2


def test_a_channel_that_loses_its_last_weight_gets_another():
    # Row 2 and column 2 keep place 34 alone, which is a carrier that must go.
    group = [34, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70]
    gradient = torch.full((16, 16), 0.1)
    gradient[2, 9], gradient[11, 2] = 5.0, -4.0
    gradient[7, 7] = 100.0  # kept already
    marking = mark_small([*DIAGONAL, 1, 3], [group], [1], gradient)
    kept = marking.masks["middle"]
    assert kept[2].nonzero().flatten().tolist() == [9]
    assert kept[:, 2].nonzero().flatten().tolist() == [11]
    assert kept.any(0).all()
    assert kept.any(1).all()
    assert int(kept.sum()) == 18


def test_a_channel_of_nothing_but_carriers_is_refused():
    row = [16 * 5 + column for column in range(16)]
    groups = [row[:8], row[8:]]  # one of each group stays, so row 5 lives; column 0 does not
    assert mark_small([*DIAGONAL, 1, 2, 3], groups, [0, 0]).masks["middle"][5].sum() == 2
    column = [16 * row for row in range(16)]
    others = [16 * row + 3 for row in range(7)]
    groups = [
        [column[0], *others],
        [*column[1:8], 250],
        [*column[8:15], 251],
        [column[15], *range(242, 249)],
    ]
    with pytest.raises(
        OwnershipError, match=r"channel 0 of 'middle' has only carriers; choose another number"
    ):
        mark_small([*DIAGONAL, 1, 2, 3, 5], groups, [1, 7, 7, 1])


def test_a_layer_without_places_for_what_its_carriers_lose_is_refused():
    groups = np.arange(256).reshape(16, 16)[:, :8]
    with pytest.raises(
        OwnershipError, match=r"'middle' has 0 places for the 112 weights that its carriers lose"
    ):
        mark_small(list(range(256)), groups, [row % 8 for row in range(16)])


# Column 0 alone reaches rows 0 to 3, and row 4 alone reaches columns 1 to 4. The mark adds (4, 0).
STARS = [0, 16, 32, 48, 65, 66, 67, 68]


@pytest.mark.parametrize(
    ("carrier", "gone", "shared"),
    [
        (33, [16, 67], 19),  # damages 2 + 1, where row 1 meets column 3
        (19, [0, 67], 3),  # that place is a carrier; 5 + 1 is the next best
    ],
)
def test_two_weights_that_are_the_last_of_a_channel_make_room_for_one_that_serves_both(carrier, gone, shared):
    damage = torch.full((16, 16), 100.0)  # what is not kept does not count
    damage.view(-1)[STARS] = torch.tensor([5.0, 2, 7, 8, 6, 9, 1, 8])
    marking = mark_small(STARS, [[64, carrier, 34, 35, 36, 49, 50, 51]], [0], damage)
    assert kept_places(marking) == sorted([*set(STARS).difference(gone), 64, shared])
    assert marking.edits == 4


@pytest.mark.parametrize(
    ("carrier", "gone", "new"),
    [
        (40, [0, 17], [16]),  # (0, 1) is marked: row 1 takes column 0
        (16, [0, 17, 7 * 17], [16 + 7, 7 * 16]),  # a carrier is in the way; row 7 has the least to lose
    ],
)
def test_a_mask_of_one_weight_for_each_channel_is_marked_by_a_chain_of_changes(carrier, gone, new):
    damage = torch.full((16, 16), 2.0)
    damage[7, 7] = 1.0
    marking = mark_small(DIAGONAL, [[1, carrier, 50, 60, 70, 80, 90, 200]], [0], damage)
    assert kept_places(marking) == sorted([*set(DIAGONAL).difference(gone), *new, 1])


def test_a_new_weight_that_serves_two_channels_is_where_the_gradient_is_largest():
    masks = {name: mask[..., None, None].repeat(1, 1, 3, 1) for name, mask in small(DIAGONAL).items()}
    masks["middle"][:, :, 1:] = False
    pull = torch.ones(16, 16, 3, 1)
    pull[1, 0] = torch.tensor([2.0, 3.0, 1.0])[:, None]
    group = [3, *range(310, 317)]  # kernel 1 is the pair (0, 1)
    fill = torch.ones(16, 16, 3, 1)
    marked = mark_masks(
        masks, {"middle": np.array([group])}, np.array([0]), {"middle": pull}, {"middle": fill}
    )
    assert marked.masks["middle"][1, 0].flatten().tolist() == [False, True, False]
    assert int(marked.masks["middle"].sum()) == 16


# A projection of a SuperTicket on digits, 32 x 25: 13 weights for 12 rows and 9 columns.
PROJECTION = [59, 163, 177, 181, 201, 264, 295, 326, 395, 409, 457, 562, 582]


def test_a_supertickets_layer_without_slack_is_marked_with_each_of_sixty_keys():
    shapes = {**dict(list(SHAPES.items())[:3]), "project.weight": (32, 25, 1, 1), "e.weight": (5, 20)}
    unmarked = draw_masks(0.2, shapes=shapes)
    unmarked["project.weight"] = (
        torch.zeros(800, dtype=torch.bool).index_fill(0, torch.tensor(PROJECTION), True).view(32, 25, 1, 1)
    )
    planned = plan_groups(unmarked, 144)
    assert planned["project.weight"] == 1
    gradients, weights = draw_gradients(shapes=shapes), draw_weights(shapes=shapes)
    for number in range(60):
        mark = Mark(key_of(number), PAYLOAD, planned)
        assert_well_marked(Signed(unmarked, mark, sign_masks(unmarked, mark, gradients, weights), {}))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(7, 16), st.integers(7, 16), st.integers(0, 2), st.integers(1, 4))
def test_a_sparse_layer_is_refused_only_if_no_mask_fits(seed, rows, columns, slack, count):
    generator = torch.Generator().manual_seed(seed)
    reach = range(max(rows, columns))
    kept = {16 * (row % rows) + row % columns for row in reach}  # reaches all rows and all columns
    more = torch.randint(rows * columns, (slack,), generator=generator).tolist()
    unmarked = small(sorted(kept | {16 * (place // columns) + place % columns for place in more}))
    mark = Mark(key_of(seed), PAYLOAD, {"middle": min(count, rows * columns // 16)})
    numbers = {"middle": torch.rand(16, 16, generator=generator)}
    if misfits(unmarked, mark):
        with pytest.raises(NoRoomError):
            sign_masks(unmarked, mark, numbers, numbers)
        return
    assert_well_marked(Signed(unmarked, mark, sign_masks(unmarked, mark, numbers, numbers), {}))


@pytest.mark.parametrize(
    ("below", "edits", "fingerprint"),
    [
        (60, 88, "4e641042297fa1f762b56568d77afa2d8f4623ca44fbc5b37159628ce3c6c439"),
        (202, 132, "74c45932ff37ff6d3627c6c0c3539b9af8b45be6ff0a18173785647b0affa6da"),
        (500, 318, "fc04114a0844a19cdf3e6f5fa5eaad28069b270be6056eb0e09b3ca5fe33e3bf"),
    ],
)
def test_plans_and_masks_of_signed_tickets_stay_what_they_were(below, edits, fingerprint):
    unmarked = {
        name: (torch.arange(math.prod(shape)) * 389 % 1009).reshape(shape) < below
        for name, shape in SHAPES.items()
    }
    numbers = {
        name: (torch.arange(mask.numel()) * 617 % 10007).reshape(mask.shape).float()
        for name, mask in unmarked.items()
    }
    planned = plan_groups(unmarked, 48)
    assert planned == {"b.weight": 14, "c.weight": 29, "d.weight": 5}
    marking = sign_masks(
        unmarked, Mark(KEY, PAYLOAD, planned), numbers, {name: n * 0 + 1 for name, n in numbers.items()}
    )
    assert (marking.edits, fingerprint_tensors(marking.masks)) == (edits, fingerprint)


def test_a_layer_that_would_lose_a_channel_to_give_back_its_count_is_refused():
    free = [place for place in range(256) if place not in DIAGONAL][:16]
    with pytest.raises(
        NoRoomError, match=r"'middle' cannot keep 16 weights, its mark and all its channels; choose another"
    ):
        mark_small(DIAGONAL, [free[:8], free[8:]], [0, 0], torch.ones(16, 16))


@pytest.mark.parametrize(
    "masks",
    [
        draw_masks(1.0),
        draw_masks(0.3, shapes={"a": (64, 3, 3, 3), "b": (15, 17, 3, 3), "c": (10, 15)}),
        {name: torch.zeros(shape, dtype=torch.bool) for name, shape in SHAPES.items()},
    ],
    ids=["all ones", "tiny layers", "all zeros"],
)
def test_masks_without_room_are_refused(masks):
    with pytest.raises(
        OwnershipError, match=r"^this mask can hold 0 groups of 8 carriers, but the mark needs 144"
    ):
        plan_groups(masks, 144)
