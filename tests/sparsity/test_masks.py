import math

import pytest
import torch

from lottery_pipeline.sparsity import (
    MaskError,
    apply_masks_,
    are_nested,
    check_masks,
    count_kept,
    count_prunable,
    density_of,
    full_masks,
)
from lottery_pipeline.sparsity.masks import take_kept


def mask(*values):
    return torch.tensor(values, dtype=torch.bool)


def test_full_masks_keep_everything():
    masks = full_masks({"a": torch.zeros(2, 3), "b": torch.zeros(4)})
    assert {name: tuple(m.shape) for name, m in masks.items()} == {"a": (2, 3), "b": (4,)}
    assert count_kept(masks) == count_prunable(masks) == 10
    assert density_of(masks) == 1.0


def test_pruned_weights_become_positive_zero_whatever_they_were():
    weight = torch.tensor([-1.0, math.nan, math.inf, -0.0, 2.0])
    apply_masks_({"w": weight}, {"w": mask(0, 0, 0, 0, 1)})
    assert weight.tolist() == [0.0, 0.0, 0.0, 0.0, 2.0]
    assert not weight.signbit().any()


def test_kept_weights_are_untouched_bit_for_bit():
    weight = torch.tensor([-0.0, 1e-45, 3.0])
    before = weight.view(torch.int32).tolist()
    apply_masks_({"w": weight}, {"w": mask(1, 1, 1)})
    assert weight.view(torch.int32).tolist() == before


def test_parameters_that_require_gradients_are_masked_in_place_and_others_left_alone():
    weights = {"w": torch.nn.Parameter(torch.ones(3)), "bias": torch.ones(2)}
    same = weights["w"]
    apply_masks_(weights, {"w": mask(1, 0, 1)})
    assert same.tolist() == [1.0, 0.0, 1.0]
    assert same.is_leaf
    assert same.requires_grad
    assert weights["bias"].tolist() == [1.0, 1.0]


def test_a_mask_without_a_weight_is_refused():
    with pytest.raises(MaskError, match="no weight for the masks"):
        apply_masks_({"w": torch.ones(2)}, {"v": mask(1, 0)})


def test_a_refused_application_changes_nothing():
    weights = {"a": torch.ones(2), "b": torch.ones(2)}
    with pytest.raises(MaskError, match="shape"):
        apply_masks_(weights, {"a": mask(0, 0), "b": mask(0, 0, 0)})
    assert weights["a"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("masks", "fault"),
    [
        ({"a": mask(1, 0)}, r"no mask for \['b'\]"),
        ({"a": mask(1, 0), "b": mask(1), "c": mask(1)}, r"no weight for \['c'\]"),
        ({"a": mask(1, 0, 1), "b": mask(1)}, r"the mask of a has shape \(3,\), its weight \(2,\)"),
        ({"a": torch.ones(2), "b": mask(1)}, r"the mask of a has dtype torch.float32"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks, fault):
    with pytest.raises(MaskError, match=fault):
        check_masks(masks, {"a": torch.zeros(2), "b": torch.zeros(1)})


def test_masks_that_fit_in_another_order_are_accepted():
    assert check_masks({"b": mask(1), "a": mask(1, 0)}, {"a": torch.zeros(2), "b": torch.zeros(1)}) is None


def test_nestedness_is_seen_per_position():
    outer = {"w": mask(1, 1, 0, 1)}
    assert are_nested({"w": mask(1, 0, 0, 1)}, outer)
    assert are_nested(outer, outer)
    assert not are_nested({"w": mask(0, 0, 1, 0)}, outer)
    with pytest.raises(MaskError):
        are_nested({"v": mask(1)}, outer)


def test_density_counts_kept_over_prunable():
    assert density_of({"a": mask(1, 0, 0, 0), "b": mask(1, 1, 0, 0)}) == 3 / 8
    with pytest.raises(MaskError, match="no masks"):
        density_of({})


def test_kept_weights_are_taken_in_c_order_whatever_the_memory_format() -> None:
    weight = torch.arange(8.0).reshape(2, 2, 2, 1).to(memory_format=torch.channels_last)
    mask = torch.tensor([True, False, True, True, False, False, False, True]).reshape(2, 2, 2, 1)
    assert take_kept(weight, mask).tolist() == [0, 2, 3, 7]
    assert take_kept(weight, torch.zeros_like(mask)).tolist() == []
