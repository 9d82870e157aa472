import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.ownership.reading import (
    count_matches,
    find_alive,
    flatten_kernels,
    normalise_scale,
    read_groups,
    turn_kernels,
)
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.reference.mask_code_naive import count_naive, normalise_naive


def draw(*shape: int, seed: int = 0, density: float = 1.0) -> torch.Tensor:
    generator = make_generator(seed, "reading")
    values = torch.randn(shape, generator=generator)
    return values * (torch.rand(shape, generator=generator) < density)


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
def test_the_normalised_scale_is_that_of_the_naive_twin(density):
    magnitudes = flatten_kernels(draw(7, 5, 3, 3, density=density))
    assert magnitudes.dtype == torch.float64
    torch.testing.assert_close(
        normalise_scale(magnitudes), normalise_naive(magnitudes), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("shape", [(7, 5, 3, 3), (40, 9), (1, 6, 1, 5)])
def test_a_scale_that_is_computed_in_parts_has_the_same_bits(shape, monkeypatch):
    weight = draw(*shape, density=0.5)
    whole = normalise_scale(weight)
    monkeypatch.setattr("lottery_pipeline.ownership.reading._PART", 10)
    assert torch.equal(normalise_scale(weight), whole)
    assert torch.equal(normalise_scale(weight, torch.float32), whole.float())


def test_a_known_normalised_scale():
    magnitudes = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)[:, :, None]
    # The row has the norm 5; then each column holds one value alone.
    torch.testing.assert_close(
        normalise_scale(magnitudes)[..., 0], torch.tensor([[1.0, 1.0], [0.0, 0.0]]).double()
    )


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.3, 1.0))
def test_scales_of_rows_and_columns_vanish_where_enough_is_kept(seed, density):
    magnitudes = flatten_kernels(draw(12, 10, 3, 3, seed=seed, density=density))
    generator = make_generator(seed, "scales")
    rows = 10 ** (2 * torch.rand(12, 1, 1, generator=generator, dtype=torch.float64) - 1)
    columns = 10 ** (2 * torch.rand(1, 10, 1, generator=generator, dtype=torch.float64) - 1)
    plain, scaled = normalise_scale(magnitudes), normalise_scale(magnitudes * rows * columns)
    torch.testing.assert_close(plain, scaled, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(magnitudes, magnitudes * rows * columns, rtol=0.5)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.05, 1.0))
def test_the_order_of_channels_does_not_matter_to_the_scale(seed, density):
    magnitudes = flatten_kernels(draw(9, 8, 3, 3, seed=seed, density=density))
    rows, columns = (torch.randperm(size, generator=make_generator(seed, size)) for size in (9, 8))
    expected = normalise_scale(magnitudes)[rows][:, columns]
    torch.testing.assert_close(normalise_scale(magnitudes[rows][:, columns]), expected, rtol=1e-9, atol=1e-12)


def test_extreme_values_stay_finite():
    magnitudes = flatten_kernels(torch.tensor([[3e38, 1e-45], [0.0, 1e-38]]))
    assert normalise_scale(magnitudes).isfinite().all()


def test_magnitudes_are_flat_kernels_without_signs():
    assert flatten_kernels(draw(6, 5, 3, 2)).shape == (6, 5, 6)
    assert flatten_kernels(draw(6, 5)).shape == (6, 5, 1)
    assert flatten_kernels(draw(6, 5, 4)).shape == (6, 5, 4)
    assert torch.equal(flatten_kernels(-draw(6, 5)), flatten_kernels(draw(6, 5)))
    kernel = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert flatten_kernels(kernel.half())[0, 0].tolist() == list(range(9))


def test_the_eight_orientations_of_a_kernel():
    kernel = torch.arange(9).reshape(1, 1, 3, 3)
    turned = [turn_kernels(kernel, orientation).flatten().tolist() for orientation in range(8)]
    assert turned == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
        [2, 1, 0, 5, 4, 3, 8, 7, 6],
        [6, 7, 8, 3, 4, 5, 0, 1, 2],
        [8, 7, 6, 5, 4, 3, 2, 1, 0],
        [0, 3, 6, 1, 4, 7, 2, 5, 8],
        [6, 3, 0, 7, 4, 1, 8, 5, 2],
        [2, 5, 8, 1, 4, 7, 0, 3, 6],
        [8, 5, 2, 7, 4, 1, 6, 3, 0],
    ]


def test_every_orientation_is_undone_by_one_of_the_eight():
    kernels = draw(3, 2, 3, 3)
    for orientation in range(8):
        turned = turn_kernels(kernels, orientation)
        assert sum(torch.equal(turn_kernels(turned, back), kernels) for back in range(8)) == 1


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1, 3), (4, 5, 7)])
def test_weights_without_square_kernels_stay_as_they_are(shape):
    weight = draw(*shape)
    assert all(turn_kernels(weight, orientation) is weight for orientation in range(8))


def test_groups_are_read_in_the_order_of_the_layers_and_a_missing_layer_reads_as_zero():
    weights = {
        "b": torch.arange(20.0).double().reshape(4, 5, 1),
        "a": 100 + torch.arange(9.0).double().view(1, 1, 9),
    }
    groups = {
        "a": np.array([[8, 0, 1, 2, 3, 4, 5, 6]]),
        "none": np.array([[0, 1, 2, 3, 4, 5, 6, 7]]),
        "b": np.array([[19, 0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13, 14]]),
    }
    scores = read_groups(weights, groups, normalised=False)
    assert scores.tolist() == [
        [108, 100, 101, 102, 103, 104, 105, 106],
        [0] * 8,
        [19, 0, 1, 2, 3, 4, 5, 6],
        [7, 8, 9, 10, 11, 12, 13, 14],
    ]
    normalised = read_groups(weights, groups, normalised=True)
    assert normalised[2, 0] == normalise_scale(weights["b"])[3, 4, 0]


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=1, max_size=12), st.integers(0, 99)
)
def test_matches_are_those_of_the_naive_twin_ties_and_empty_groups_included(rows, seed):
    targets = np.random.default_rng(seed).integers(0, 8, len(rows))
    assert count_matches(np.array(rows, dtype=float), targets) == count_naive(rows, targets)


@pytest.mark.parametrize("fill", [0.0, 1.0, 0.3])
def test_a_suspect_whose_weights_are_all_alike_shows_nothing(fill):
    assert count_matches(np.full((50, 8), fill), np.zeros(50, dtype=np.int64)) == (0, 0)


def test_what_is_counted_does_not_depend_on_the_targets():
    scores = np.random.default_rng(1).integers(0, 4, (200, 8)).astype(float)
    counts = {count_matches(scores, np.full(200, target))[1] for target in range(8)}
    matches = [count_matches(scores, np.full(200, target))[0] for target in range(8)]
    assert counts == {sum(matches)}


def test_a_carrier_is_alive_between_channels_that_keep_a_weight():
    weight = torch.zeros(3, 4, 2)
    weight[0, 1, 0] = weight[2, 3, 1] = 0.5
    groups = {"none": np.array([[0, 1]]), "a": np.array([[2, 6, 16, 23], [0, 4, 10, 18]])}
    pairs = [(0, 1), (0, 3), (2, 0), (2, 3), (0, 0), (0, 2), (1, 1), (2, 1)]
    expected = [row in (0, 2) and column in (1, 3) for row, column in pairs]
    assert find_alive({"a": weight}, {"a": groups["a"]}).reshape(-1).tolist() == expected
    assert not find_alive({"a": weight}, {"none": groups["none"]}).any()
