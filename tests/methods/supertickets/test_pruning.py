"""Global masks of exactly k weights."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.methods.supertickets.pruning import count_to_keep, draw_scores, prune_globally


def test_the_smallest_weights_of_the_whole_network_go_first():
    scores = {"a": torch.tensor([1.0, 2, 3, 4]), "b": torch.tensor([5.0, 6, 7, 8, 9, 10])}
    masks = prune_globally(scores, count_to_keep(10, 0.3))
    assert masks["a"].tolist() == [False, False, False, True]
    assert masks["b"].all()


def test_equal_weights_are_pruned_to_exactly_half():
    masks = prune_globally({"a": torch.ones(3), "b": torch.ones(3)}, count_to_keep(6, 0.5))
    assert masks["a"].tolist() + masks["b"].tolist() == [True] * 3 + [False] * 3


def test_counts_do_not_suffer_from_rounding_errors():
    assert [count_to_keep(1000, 0.1), count_to_keep(1000, 0.2), count_to_keep(10, 0.1)] == [900, 800, 9]
    assert count_to_keep(10, 0.0) == 10


def test_every_layer_keeps_its_best_weight_if_asked_to():
    scores = {"thin": torch.tensor([0.1, 0.3]), "wide": torch.tensor([5.0, 6, 7, 8])}
    assert prune_globally(scores, 3, min_keep=0)["thin"].sum() == 0
    masks = prune_globally(scores, 3, min_keep=1)
    assert masks["thin"].tolist() == [False, True]
    assert masks["wide"].tolist() == [False, False, True, True]


def test_a_layer_keeps_all_it_has_if_that_is_less_than_the_least():
    scores = {"one": torch.tensor([0.1]), "wide": torch.tensor([5.0, 6, 7, 8])}
    assert prune_globally(scores, 4, min_keep=3)["one"].tolist() == [True]


def test_only_weights_that_compete_can_be_kept():
    scores = {"a": torch.tensor([9.0, 1, 2, 3])}
    within = {"a": torch.tensor([False, True, True, True])}
    assert prune_globally(scores, 2, within=within)["a"].tolist() == [False, False, True, True]
    assert prune_globally(scores, 4, within=within)["a"].tolist() == [False, True, True, True]


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.integers(0, 3),
    st.floats(0, 1),
    st.integers(0, 9),
)
def test_exactly_k_weights_are_kept(sizes, min_keep, share, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = {
        str(place): torch.randint(4, (size,), generator=generator).float() for place, size in enumerate(sizes)
    }
    k = max(1, round(share * sum(sizes)))
    masks = prune_globally(scores, k, min_keep=min_keep)
    assert sum(int(mask.sum()) for mask in masks.values()) == k
    if k >= min_keep * len(sizes):
        assert all(int(masks[name].sum()) >= min(min_keep, len(score)) for name, score in scores.items())


def test_random_scores_follow_from_the_seed():
    weights = {"a": torch.ones(3, 2)}
    first, same, other = (draw_scores(weights, seed)["a"] for seed in (1, 1, 2))
    assert first.equal(same)
    assert not first.equal(other)
    assert first.shape == (3, 2)
