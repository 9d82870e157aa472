import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.training.keypoints import (
    RADIUS,
    count,
    draw_heatmaps,
    heatmap_sigma,
    locate_points,
    loss,
    score,
)
from lottery_pipeline.training.recipe import RecipeError
from tests.reference.keypoints_naive import locate_naively, loss_naively

SIZE = (32, 32)


def points(*places: tuple[float, float, int]) -> torch.Tensor:
    """Labels of one image, from pixels."""
    return torch.tensor([[[round(16 * x), round(16 * y), visible] for x, y, visible in places]])


def test_the_peak_is_one_in_the_cell_of_the_point_and_falls_as_a_gaussian():
    heatmap = draw_heatmaps(points((10.9, 21.0, 1)), SIZE, (16, 16))[0, 0]
    assert heatmap.shape == (16, 16)
    assert heatmap[10, 5] == 1.0  # y 21 of 32 is row 10 of 16; x 10.9 is column 5
    assert int((heatmap == 1).sum()) == 1
    assert float(heatmap[10, 7]) == pytest.approx(math.exp(-2))
    assert float(heatmap[9, 6]) == pytest.approx(math.exp(-1))


@pytest.mark.parametrize(
    ("shape", "sigma"), [((64, 48), 2.0), ((128, 128), 4.0), ((32, 32), 1.0), ((16, 16), 1.0), ((4, 4), 1.0)]
)
def test_the_width_is_the_published_one_at_the_published_size_and_at_least_one_cell(shape, sigma):
    assert heatmap_sigma(shape) == sigma


def test_the_wanted_heatmaps_have_no_loss():
    labels = points((3, 3, 1), (30, 16, 1))
    assert float(loss(draw_heatmaps(labels, SIZE, (16, 16)), labels, SIZE)) == 0.0


def test_a_hidden_point_has_no_loss_and_no_gradient():
    labels = points((3, 3, 1), (30, 16, 0))
    heatmaps = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss(heatmaps, labels, SIZE).backward()
    assert heatmaps.grad is not None
    assert not heatmaps.grad[0, 1].any()
    assert heatmaps.grad[0, 0].all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_that_of_plain_loops(reduction):
    generator = torch.Generator().manual_seed(1)
    heatmaps = torch.randn(3, 2, 6, 8, generator=generator)
    labels = torch.randint(0, 16 * 24, (3, 2, 3), generator=generator)
    labels[..., 2] = torch.tensor([[1, 0], [1, 1], [0, 1]])
    found = loss(heatmaps, labels, (24, 32), reduction=reduction)
    expected = loss_naively(heatmaps, labels, (24, 32), 1.0) * (3 if reduction == "sum" else 1)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 6), columns=st.integers(1, 6))
@settings(max_examples=40)
def test_points_are_found_as_by_plain_loops(seed, rows, columns):
    # Few different values, so that neighbours are often equal.
    generator = torch.Generator().manual_seed(seed)
    heatmaps = torch.randint(0, 4, (2, 3, rows, columns), generator=generator).float()
    found = locate_points(heatmaps, (24, 40))
    expected = [[locate_naively(heatmap, (24, 40)) for heatmap in image] for image in heatmaps.tolist()]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_highest_cell_is_moved_a_quarter_towards_its_higher_neighbour():
    heatmap = torch.zeros(1, 1, 16, 16)
    heatmap[0, 0, 4, 10], heatmap[0, 0, 4, 11], heatmap[0, 0, 3, 10] = 1.0, 0.5, 0.2
    assert locate_points(heatmap, SIZE)[0, 0].tolist() == [2 * (10 + 0.5 + 0.25), 2 * (4 + 0.5 - 0.25)]


def test_points_within_a_tenth_of_the_longer_side_are_found_and_hidden_ones_do_not_count():
    heatmaps = torch.zeros(1, 3, 16, 16)
    heatmaps[0, :, 8, 8] = 1.0  # all at (17, 17)
    labels = points((17 + 3.1875, 17, 1), (17, 17 - 3.25, 1), (0, 0, 0))
    assert RADIUS == 0.1
    found = count(heatmaps, labels, SIZE)
    assert found.tolist() == [1, 2, round(256 * 3.1875) + round(256 * 3.25)]
    assert score(found) == {"accuracy": 0.5, "pixel_error": (3.1875 + 3.25) / 2}


def test_without_a_visible_point_nothing_is_found():
    found = count(torch.zeros(1, 1, 4, 4), points((3, 3, 0)), SIZE)
    assert score(found) == {"accuracy": 0.0, "pixel_error": 0.0}


def test_perfect_heatmaps_find_every_point_to_within_a_cell():
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 16 * 32, (20, 5, 3), generator=generator)
    labels[..., 2] = 1
    found = score(count(draw_heatmaps(labels, SIZE, (16, 16)), labels, SIZE))
    assert found["accuracy"] == 1.0
    assert 0 < found["pixel_error"] < math.hypot(1, 1)


def test_label_smoothing_is_refused():
    with pytest.raises(RecipeError, match=r"label_smoothing is 0\.1, but keypoints have no classes"):
        loss(torch.zeros(1, 1, 4, 4), points((1, 1, 1)), SIZE, 0.1)


def test_nothing_waits_for_the_device():
    heatmaps, labels = torch.zeros(1, 1, 4, 4, device="meta"), points((1, 1, 1)).to("meta")
    # On meta any look at a value is an error, as it would be a wait on a GPU.
    assert count(heatmaps, labels, SIZE).shape == (3,)
    assert loss(heatmaps, labels, SIZE).shape == ()
