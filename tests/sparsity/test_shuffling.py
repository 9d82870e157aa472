import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.sparsity import MaskError, count_kept, count_moved, shuffle_masks

layer = st.lists(st.booleans(), min_size=1, max_size=10)
masks_of_any_kind = st.lists(layer, min_size=1, max_size=4).map(
    lambda layers: {str(index): torch.tensor(values) for index, values in enumerate(layers)}
)


def counts(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


def example(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (8, 8), "b": (32,)}
    return {name: torch.rand(shape, generator=generator) < 0.3 for name, shape in shapes.items()}


@given(masks_of_any_kind, st.integers(0, 2**31))
def test_a_layer_shuffle_keeps_counts_and_changes_every_layer_that_can_change(masks, seed):
    shuffled = shuffle_masks(masks, seed=seed)
    assert counts(shuffled) == counts(masks)
    for name, mask in masks.items():
        can_change = 0 < int(mask.sum()) < mask.numel()
        assert torch.equal(shuffled[name], mask) != can_change


@given(masks_of_any_kind, st.integers(0, 2**31))
def test_a_global_shuffle_keeps_the_total_and_changes_masks_that_can_change(masks, seed):
    shuffled = shuffle_masks(masks, seed=seed, how="global")
    total = sum(mask.numel() for mask in masks.values())
    assert count_kept(shuffled) == count_kept(masks)
    assert (count_moved(masks, shuffled) > 0) == (0 < count_kept(masks) < total)


def test_an_even_shuffle_gives_every_layer_the_same_density():
    masks = {"a": torch.zeros(8, 8, dtype=torch.bool), "b": torch.ones(32, dtype=torch.bool)}
    shuffled = shuffle_masks(masks, seed=0, how="even")
    assert counts(shuffled) == {"a": 21, "b": 11}
    even = {"a": torch.tensor([True, False]), "b": torch.tensor([True, False])}
    assert count_moved(even, shuffle_masks(even, seed=0, how="even")) == 4


def test_the_smallest_masks_always_move():
    masks = {"w": torch.tensor([True, False])}
    assert all(shuffle_masks(masks, seed=seed)["w"].tolist() == [False, True] for seed in range(20))


def test_full_and_empty_layers_cannot_move():
    masks = {"full": torch.ones(4, dtype=torch.bool), "empty": torch.zeros(4, dtype=torch.bool)}
    assert count_moved(masks, shuffle_masks(masks, seed=1)) == 0


@pytest.mark.parametrize("how", ["layer", "global", "even"])
def test_shuffles_are_seeded_and_leave_their_input_and_the_random_state_alone(how):
    masks = example()
    state = torch.get_rng_state()
    once, again = (shuffle_masks(masks, seed=3, how=how) for _ in range(2))
    other = shuffle_masks(masks, seed=4, how=how)
    assert count_moved(once, again) == 0
    assert count_moved(once, other) > 0
    assert count_moved(masks, example()) == 0
    assert torch.equal(torch.get_rng_state(), state)
    assert [(name, mask.shape) for name, mask in once.items()] == [("a", (8, 8)), ("b", (32,))]


def test_layers_of_equal_shape_are_shuffled_differently():
    mask = torch.arange(64) < 20
    shuffled = shuffle_masks({"a": mask, "b": mask}, seed=0)
    assert not torch.equal(shuffled["a"], shuffled["b"])


def test_every_arrangement_is_about_equally_likely():
    mask = {"w": torch.tensor([True, False, False, False])}
    draws = [shuffle_masks(mask, seed=seed)["w"].tolist() for seed in range(600)]
    hits = torch.tensor(draws).sum(0).tolist()
    assert hits[0] == 0
    assert all(150 < hit < 250 for hit in hits[1:])


def test_an_unknown_way_to_shuffle_is_an_error():
    with pytest.raises(MaskError, match="'layer', 'global' or 'even', got 'rows'"):
        shuffle_masks(example(), seed=0, how="rows")
