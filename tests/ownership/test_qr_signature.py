import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.qr_code import PASTED_BACK, make_symbol
from lottery_pipeline.ownership.qr_signature import Position, embed_symbol, extract_symbol, list_carriers
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.reference.qr_naive import find_window_naive
from tests.tiny import same_bits

TEXT = "signature"
SYMBOL = make_symbol(TEXT)
SHAPES = {"layer2": (32, 32, 3, 3), "layer3": (64, 64, 3, 3)}  # of a ResNet-20


def draw(density=0.17, seed=0, shapes=SHAPES):
    generator = make_generator(seed, "qr test")
    return {name: torch.rand(shape, generator=generator) < density for name, shape in shapes.items()}


def counts(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


def cells(mask):
    return mask.flatten(2).any(2).numpy()


def test_the_text_is_read_back_from_a_resnet_20():
    masks = draw()
    for name in SHAPES:
        signed = embed_symbol(masks, SYMBOL, seed=1, layers=[name])
        assert signed.position.layer == name
        bare = extract_symbol(signed.masks, signed.position, expected=SYMBOL)
        assert (bare.text, bare.read, bare.matched) == (TEXT, 841, 841)
        assert np.array_equal(bare.modules, SYMBOL)
        pasted = extract_symbol(signed.masks, signed.position, paste_back=True, expected=SYMBOL)
        assert (pasted.text, pasted.read, pasted.matched) == (TEXT, 551, 551)


def test_a_disguised_symbol_keeps_the_original_cells_and_is_read_with_paste_back():
    masks = draw()
    signed = embed_symbol(masks, SYMBOL, seed=1, disguise=True)
    place = signed.position
    window = slice(place.row, place.row + 29), slice(place.column, place.column + 29)
    before, after = cells(masks[place.layer])[window], cells(signed.masks[place.layer])[window]
    assert np.array_equal(after[PASTED_BACK], before[PASTED_BACK])
    assert not np.array_equal(after[PASTED_BACK], SYMBOL[PASTED_BACK])
    assert np.array_equal(after[~PASTED_BACK], SYMBOL[~PASTED_BACK])
    pasted = extract_symbol(signed.masks, place, paste_back=True, expected=SYMBOL)
    assert (pasted.text, pasted.read, pasted.matched) == (TEXT, 551, 551)
    # The 16 modules of data that the published verifier hands itself are not needed.
    bare = extract_symbol(signed.masks, place, expected=SYMBOL)
    assert (bare.text, bare.read) == (TEXT, 841)
    assert 551 < bare.matched < 841


def test_the_symbol_is_read_from_the_zeros_of_weights():
    signed = embed_symbol(draw(), SYMBOL, seed=1)
    generator = make_generator(0, "weights")
    weights = {
        name: mask * torch.randn(mask.shape, generator=generator) for name, mask in signed.masks.items()
    }
    assert extract_symbol(weights, signed.position).text == TEXT
    assert extract_symbol(weights, signed.position).matched is None
    dust = {name: weight + 1e-6 for name, weight in weights.items()}
    assert (
        extract_symbol(dust, signed.position, expected=SYMBOL).text is None
    )  # free, and the end of the mark


@given(st.integers(0, 100), st.floats(0.06, 0.4), st.booleans())
@settings(max_examples=15)
def test_no_layer_gains_or_loses_a_weight(seed, density, disguise):
    masks = draw(density, seed)
    signed = embed_symbol(masks, SYMBOL, seed=seed, disguise=disguise)
    assert counts(signed.masks) == counts(masks)
    assert extract_symbol(signed.masks, signed.position).text == TEXT


@pytest.mark.parametrize("density", [0.06, 0.35])
def test_only_cells_of_the_window_change_their_state(density):
    masks = draw(density)  # sparse masks gain cells, dense ones lose some
    signed = embed_symbol(masks, SYMBOL, seed=1)
    place = signed.position
    before, after = cells(masks[place.layer]), cells(signed.masks[place.layer])
    assert int((after & ~before).sum()) == signed.switched_on
    assert int((before & ~after).sum()) == signed.switched_off
    outside = np.ones_like(before)
    outside[place.row : place.row + 29, place.column : place.column + 29] = False
    assert np.array_equal(after[outside], before[outside])
    others = [name for name in masks if name != place.layer]
    assert all(torch.equal(signed.masks[name], masks[name]) for name in others)


def test_a_layer_that_gains_weights_loses_others_without_emptying_a_cell():
    masks = draw(0.06, shapes={"layer3": (64, 64, 3, 3)})
    signed = embed_symbol(masks, SYMBOL, seed=1)
    removed = masks["layer3"] & ~signed.masks["layer3"]
    kept = torch.from_numpy(cells(signed.masks["layer3"]) & cells(masks["layer3"]))
    assert signed.switched_on > signed.switched_off
    assert int(removed[kept].sum()) > 0
    assert counts(signed.masks) == counts(masks)


def test_a_layer_that_loses_weights_gains_them_in_cells_that_stay_on():
    masks = draw(0.3, shapes={"layer2": (32, 32, 3, 3)})
    signed = embed_symbol(masks, SYMBOL, seed=1)
    place = signed.position
    added = (signed.masks["layer2"] & ~masks["layer2"]).flatten(2).sum(2)
    window = added[place.row : place.row + 29, place.column : place.column + 29]
    assert int(window.sum()) == int(added.sum()) > signed.switched_on
    assert int(window[torch.from_numpy(~SYMBOL)].sum()) == 0


def test_the_signature_depends_on_its_seed_only():
    masks = draw()
    signed = [embed_symbol(masks, SYMBOL, seed=seed) for seed in (1, 1, 2)]
    assert same_bits(signed[0].masks, signed[1].masks)
    assert not same_bits(signed[0].masks, signed[2].masks)
    assert signed[0].position == signed[2].position
    assert same_bits(masks, draw())


def test_the_window_is_the_most_similar_one_of_all_layers():
    masks = draw(0.08)
    signed = embed_symbol(masks, SYMBOL, seed=1)
    equal, layer, row, column = find_window_naive([cells(mask) for mask in masks.values()], SYMBOL)
    assert signed.position == Position(list(masks)[layer], row, column)
    assert signed.similarity == equal / 841
    # The best of 1,312 windows is well above one half although nothing is embedded: no evidence.
    assert signed.similarity > 0.55


def test_equal_windows_go_to_the_first_layer_row_and_column():
    mask = torch.zeros(31, 31, 3, 3, dtype=torch.bool)
    mask[..., 1, :] = True  # three of nine weights in every kernel
    signed = embed_symbol({"a": mask, "b": mask.clone()}, SYMBOL, seed=0)
    assert signed.position == Position("a", 0, 0)


def test_masks_in_channels_last_order_are_edited_alike():
    masks = draw()
    strided = {name: mask.contiguous(memory_format=torch.channels_last) for name, mask in masks.items()}
    assert same_bits(embed_symbol(strided, SYMBOL, seed=1).masks, embed_symbol(masks, SYMBOL, seed=1).masks)


def test_small_layers_linear_layers_and_shortcuts_carry_nothing():
    shapes = {
        "stem": (64, 3, 3, 3),
        "narrow": (28, 64, 3, 3),
        "shortcut": (64, 32, 1, 1),
        "fc": (64, 64),
        "conv": (29, 64, 3, 3),
    }
    masks = draw(shapes=shapes)
    assert list_carriers(masks) == ["conv"]
    del masks["conv"]
    with pytest.raises(OwnershipError, match="no layer has 29 x 29 kernels"):
        embed_symbol(masks, SYMBOL, seed=0)
    with pytest.raises(OwnershipError, match=r"narrow has the shape \(28, 64, 3, 3\)"):
        embed_symbol(masks, SYMBOL, seed=0, layers=["narrow"])
    with pytest.raises(OwnershipError, match="there is no layer 'conv'"):
        embed_symbol(masks, SYMBOL, seed=0, layers=["conv"])
    with pytest.raises(OwnershipError, match=r"must be torch\.bool"):
        embed_symbol({"conv": torch.ones(29, 29, 3, 3)}, SYMBOL, seed=0)


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (0.018, r"layer2 keeps too few weights: the QR code adds \d+ more .* but only \d+ can be removed"),
        (0.9, r"layer2 keeps too many weights: the QR code switches off \d+ more .* have room for \d+"),
        (1.0, r"layer2 keeps too many weights"),
    ],
)
def test_a_layer_that_cannot_hold_the_symbol_is_named_with_its_numbers(density, message):
    masks = draw(density, shapes={"layer2": (32, 32, 3, 3)})
    with pytest.raises(OwnershipError, match=message):
        embed_symbol(masks, SYMBOL, seed=0)


def test_a_position_outside_the_layer_is_refused():
    masks = draw()
    for row, column in ((-1, 0), (0, 4), (4, 0)):
        with pytest.raises(OwnershipError, match=f"no window of 29 x 29 starts at \\({row}, {column}\\)"):
            extract_symbol(masks, Position("layer2", row, column))
    with pytest.raises(OwnershipError, match="there is no layer 'layer9'"):
        extract_symbol(masks, Position("layer9", 0, 0))
    with pytest.raises(OwnershipError, match="pasting back needs the expected symbol"):
        extract_symbol(masks, Position("layer2", 0, 0), paste_back=True)


def test_pasting_back_adds_no_matches():
    # The verifier pastes 290 right modules over a layer without any: all of its own making.
    wrong = torch.from_numpy(~SYMBOL)[:, :, None, None].repeat(1, 1, 3, 3)
    found = extract_symbol({"a": wrong}, Position("a", 0, 0), paste_back=True, expected=SYMBOL)
    assert (found.text, found.read, found.matched) == (None, 551, 0)
    assert int((found.modules == SYMBOL).sum()) == 290


def test_an_unsigned_mask_matches_half_and_decodes_to_nothing():
    masks = draw(0.08)
    for paste_back in (False, True):
        found = extract_symbol(masks, Position("layer3", 10, 10), paste_back=paste_back, expected=SYMBOL)
        assert found.text is None
        assert 0.4 < found.matched / found.read < 0.6


def test_a_permutation_of_channels_is_the_end_of_the_mark():
    signed = embed_symbol(draw(), SYMBOL, seed=1)
    place = signed.position
    for dimension in (0, 1):
        order = torch.randperm(64, generator=make_generator(dimension, "permutation"))
        moved = {place.layer: signed.masks[place.layer].index_select(dimension, order)}
        found = extract_symbol(moved, place, paste_back=True, expected=SYMBOL)
        assert found.text is None
        assert found.matched < 0.65 * found.read


def test_half_a_per_cent_of_added_weights_is_survived_and_two_per_cent_are_not():
    decoded = {0.005: 0, 0.02: 0}
    for seed in range(10):
        signed = embed_symbol(draw(seed=seed), SYMBOL, seed=seed, layers=["layer2"])
        for rate in decoded:
            generator = make_generator(seed, "noise")
            mask = signed.masks["layer2"]
            noisy = {"layer2": mask | (torch.rand(mask.shape, generator=generator) < rate)}
            decoded[rate] += extract_symbol(noisy, signed.position).text == TEXT
    assert decoded[0.005] >= 8
    assert decoded[0.02] <= 2
