import pytest
import torch

from lottery_pipeline.evaluation.alterations import invert_masks
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import count_kept
from lottery_pipeline.sparsity.selection import keep_top_k


def draw_scores():
    generator = make_generator(0, "scores")
    return {"a": torch.rand(4, 5, generator=generator), "b": 10 * torch.rand(30, generator=generator)}


def test_the_lowest_scores_are_kept():
    scores = {"a": torch.tensor([3.0, -1.0, 2.0]), "b": torch.tensor([[0.0, 5.0]])}
    inverted = invert_masks(keep_top_k(scores, 2), scores, seed=0)
    assert inverted["a"].tolist() == [False, True, False]
    assert inverted["b"].tolist() == [[True, False]]


@pytest.mark.parametrize("kept", [1, 10, 25])
def test_as_many_are_kept_and_none_of_the_old_up_to_half(kept):
    scores = draw_scores()
    masks = keep_top_k(scores, kept)
    inverted = invert_masks(masks, scores, seed=0)
    assert count_kept(inverted) == kept
    assert not any((inverted[name] & mask).any() for name, mask in masks.items())


def test_masks_made_layer_by_layer_are_inverted_layer_by_layer():
    scores = draw_scores()
    masks = keep_top_k(scores, {"a": 8, "b": 3}, scope="layer")
    inverted = invert_masks(masks, scores, seed=0)
    expected = keep_top_k({name: -score for name, score in scores.items()}, {"a": 8, "b": 3}, scope="layer")
    assert all(torch.equal(inverted[name], mask) for name, mask in expected.items())


@pytest.mark.parametrize("lowest", [0.0, -torch.inf])
def test_equal_scores_are_taken_from_all_layers_by_the_seed(lowest):
    scores = {name: torch.full((100,), lowest) for name in ("a", "b")}
    scores["a"][:10] = 1.0
    masks = keep_top_k(scores, 10)
    first, again, other = (invert_masks(masks, scores, seed=seed) for seed in (0, 0, 1))
    assert [count_kept(inverted) for inverted in (first, other)] == [10, 10]
    assert all(torch.equal(first[name], again[name]) for name in scores)
    assert not all(torch.equal(first[name], other[name]) for name in scores)
    assert first["a"].any()
    assert first["b"].any()
    assert not first["a"][:10].any()
