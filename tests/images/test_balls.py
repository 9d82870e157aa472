import pytest
import torch

from lottery_pipeline.images.balls import distance, draw_unit_ball, project, shorten, steepest


def image(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def test_projection_in_linf_cuts_each_pixel_to_the_ball_and_the_box():
    found = project(image(0.9, -3, 0.52, 0.0), image(0.5, 0.05, 0.5, 1.0), "Linf", 0.1)

    assert torch.allclose(found, image(0.6, 0.0, 0.52, 0.9))


def test_projection_in_l2_scales_the_change_to_the_radius():
    clean = image(0.5, 0.5)

    assert torch.allclose(project(image(0.8, 0.9), clean, "L2", 0.1), image(0.56, 0.58))
    assert torch.equal(project(image(0.53, 0.5), clean, "L2", 0.1), image(0.53, 0.5))
    # The box cuts what the ball leaves outside.
    assert torch.allclose(project(image(1.8, 0.5), image(1.0, 0.5), "L2", 0.1), image(1.0, 0.5))


def test_changes_are_shortened_each_to_its_own_radius():
    change = torch.tensor([[3.0, 4.0], [3.0, 4.0]]).view(2, 1, 1, 2)
    radii = torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)

    assert torch.allclose(shorten(change, "L2", radii).flatten(1), torch.tensor([[0.6, 0.8], [3.0, 4.0]]))
    assert torch.equal(shorten(change, "Linf", radii).flatten(1), torch.tensor([[1.0, 1.0], [3.0, 4.0]]))


def test_distances_are_the_largest_change_and_the_length():
    assert distance(image(0.5, 0.9), image(0.8, 0.5), "Linf").tolist() == pytest.approx([0.4])
    assert distance(image(0.5, 0.9), image(0.8, 0.5), "L2").tolist() == pytest.approx([0.5])


def test_the_steepest_direction_is_the_sign_or_the_unit_gradient():
    gradient = image(-3.0, 4.0)

    assert torch.equal(steepest(gradient, "Linf"), image(-1.0, 1.0))
    assert torch.allclose(steepest(gradient, "L2"), image(-0.6, 0.8))
    assert torch.equal(steepest(image(0.0, 0.0), "L2"), image(0.0, 0.0))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_points_of_the_unit_ball_fill_it_uniformly(norm):
    generator = torch.Generator().manual_seed(0)

    points = draw_unit_ball(torch.zeros(4000, 1, 2, 3), norm, generator)

    lengths = distance(points, torch.zeros_like(points), norm)
    assert lengths.max() <= 1 + 1e-6
    # The share within half of the volume is one half; the standard error is 0.008.
    assert (lengths < 0.5 ** (1 / 6)).double().mean() == pytest.approx(0.5, abs=0.03)
    assert points.mean(0).abs().max() < 0.05
