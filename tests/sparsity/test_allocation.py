import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.sparsity import (
    DensityError,
    allocate_erk,
    allocate_smart_ratio,
    allocate_uniform,
    kept_count,
)
from tests.reference.allocation import erk_quotas_naive, smart_ratio_quotas_naive

shape = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple)
shapes = st.lists(shape, min_size=1, max_size=6).map(lambda found: dict(enumerate(found)))
sizes = st.lists(st.integers(1, 200), min_size=1, max_size=8).map(lambda found: dict(enumerate(found)))


@pytest.mark.parametrize(
    ("density", "prunable", "kept"),
    [
        (1, 10, 10),
        (1.0, 10, 10),
        (0.29, 100, 29),  # 28.999... in binary
        (0.57, 100, 57),
        (0.1, 270_896, 27_089),
        (0.0074, 270_896, 2_004),
        (1e-05, 270_896, 2),
        (0.99999, 10, 9),
    ],
)
def test_the_kept_count_is_the_exact_floor(density, prunable, kept):
    assert kept_count(density, prunable) == kept


@pytest.mark.parametrize("density", [0, 0.0, -0.1, 1.5, math.nan, math.inf, "0.5", True, None])
def test_a_density_outside_zero_to_one_is_an_error(density):
    with pytest.raises(DensityError, match=r"density must be a number in \(0, 1\], got"):
        kept_count(density, 100)


def test_a_density_that_keeps_nothing_is_an_error():
    with pytest.raises(DensityError, match="keeps none of 100 prunable weights"):
        kept_count(0.009, 100)


@given(sizes, st.data())
def test_uniform_allocation_is_exact_and_even(sizes, data):
    total = sum(sizes.values())
    k = data.draw(st.integers(1, total))
    counts = allocate_uniform(sizes, k)
    assert sum(counts.values()) == k
    for name, size in sizes.items():
        assert 0 <= counts[name] <= size
        assert abs(counts[name] - k * size / total) < 1


def test_equal_remainders_go_to_the_first_layers():
    assert allocate_uniform({"a": 10, "b": 10, "c": 10}, 14) == {"a": 5, "b": 5, "c": 4}


@given(shapes, st.data())
def test_erk_allocation_is_exact_and_every_density_is_in_range(shapes, data):
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    k = data.draw(st.integers(len(shapes), sum(sizes.values())))
    counts = allocate_erk(shapes, k)
    assert list(counts) == list(shapes)
    assert sum(counts.values()) == k
    assert all(1 <= counts[name] <= sizes[name] for name in shapes)


@given(shapes, st.data())
def test_erk_allocation_rounds_the_quotas_of_the_naive_solution(shapes, data):
    k = data.draw(st.integers(1, sum(math.prod(shape) for shape in shapes.values())))
    quotas = erk_quotas_naive(shapes, k)
    counts = allocate_erk(shapes, k)
    if min(quotas.values()) >= 1 or k < len(shapes):  # else the least of one weight per layer is at work
        assert all(abs(counts[name] - quotas[name]) < 1 for name in shapes)


def test_erk_gives_small_layers_more_than_large_ones():
    # Shape sums 20, 40, 110: the small layer is full, the others share 321 - 36 = 285 as 40 : 110.
    counts = allocate_erk({"small": (2, 18), "middle": (20, 20), "large": (10, 100)}, 321)
    assert counts == {"small": 36, "middle": 76, "large": 209}


def test_erk_shares_by_the_sum_of_the_shape():
    # Shape sums 14 and 24: epsilon = 60 / 38, quotas 22.105 and 37.895.
    assert allocate_erk({"a": (10, 4), "b": (10, 14)}, 60) == {"a": 22, "b": 38}


def test_erk_keeps_one_weight_in_every_layer_while_it_can():
    shapes = {"tiny": (1, 2), "huge": (500, 500)}
    assert allocate_erk(shapes, 2) == {"tiny": 1, "huge": 1}
    assert sum(allocate_erk(shapes, 1).values()) == 1


@pytest.mark.parametrize("k", [0, 7, -1, 1.0])
def test_a_total_out_of_range_is_an_error(k):
    with pytest.raises(DensityError, match="from 1 to 6"):
        allocate_uniform({"a": 4, "b": 2}, k)
    with pytest.raises(DensityError, match="from 1 to 6"):
        allocate_erk({"a": (2, 2), "b": (1, 2)}, k)
    with pytest.raises(DensityError, match="from 1 to 6"):
        allocate_smart_ratio({"a": (2, 1, 2), "b": (1, 2)}, k)


@given(shapes, st.booleans(), st.data())
def test_smart_ratio_allocation_is_exact_and_rounds_the_quotas_of_the_naive_solution(shapes, vgg, data):
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    linear = {name: sizes[name] * 3 // 10 for name, shape in shapes.items() if len(shape) == 2}
    if len(linear) == len(shapes):
        return
    least = sum(linear.values())
    most = least + sum(sizes[name] for name in shapes if name not in linear)
    k = data.draw(st.integers(max(1, least), most))
    counts = allocate_smart_ratio(shapes, k, vgg=vgg)
    quotas = smart_ratio_quotas_naive(shapes, k, vgg=vgg)
    assert list(counts) == list(shapes)
    assert sum(counts.values()) == k
    for name in shapes:
        assert 0 <= counts[name] <= sizes[name]
        assert abs(counts[name] - quotas[name]) < 1


def test_smart_ratios_fall_from_layer_to_layer_and_count_the_linear_one():
    # Three layers: 3^2 + 3 = 12 and 2^2 + 2 = 6, so 2 : 1; the linear layer keeps 3 of 10, 60 are left.
    shapes = {"conv1": (10, 10, 1), "conv2": (10, 10, 1), "fc": (2, 5)}
    assert allocate_smart_ratio(shapes, 63) == {"conv1": 40, "conv2": 20, "fc": 3}
    # For VGG 12 / 1 and 6 / 4: 8 : 1.
    assert allocate_smart_ratio(shapes, 48, vgg=True) == {"conv1": 40, "conv2": 5, "fc": 3}


def test_smart_ratios_push_what_a_layer_cannot_hold_to_the_layers_after_it():
    # Densities in proportion 20 : 12 : 6, scaled by 86 / (20 * 4 + 12 * 100 + 6 * 100): 0.91, 0.55, 0.27.
    shapes = {"conv1": (4, 1, 1), "conv2": (10, 10, 1), "conv3": (100, 1, 1), "fc": (5, 2)}
    assert allocate_smart_ratio(shapes, 89) == {"conv1": 4, "conv2": 55, "conv3": 27, "fc": 3}
    # Twice as much: the first layer is full, its excess of 3.3 goes to the second, 109.8 + 3.3 and so on.
    assert allocate_smart_ratio(shapes, 175) == {"conv1": 4, "conv2": 100, "conv3": 68, "fc": 3}


def test_smart_ratios_that_cannot_be_kept_are_an_error():
    with pytest.raises(DensityError, match="need a convolution, but all layers are linear"):
        allocate_smart_ratio({"a": (4, 5), "b": (1, 2)}, 3)
    shapes = {"conv": (4, 1, 1), "fc": (10, 10)}
    for k in (29, 35):
        with pytest.raises(DensityError, match=f"they can keep 30 to 34 in all, not {k}"):
            allocate_smart_ratio(shapes, k)
    assert allocate_smart_ratio(shapes, 30) == {"conv": 0, "fc": 30}
