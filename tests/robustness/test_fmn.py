import pytest
import torch

from lottery_pipeline.images.balls import distance
from lottery_pipeline.robustness.fmn import fmn
from lottery_pipeline.robustness.gradients import gradients_counted, weights_frozen
from tests.robustness.linear_models import BentNet, LinearNet, draw_pixels, find_radii, predict


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_distance_to_a_linear_boundary_is_found_and_never_undercut(norm, classes):
    model, images = LinearNet(classes), draw_pixels(100)
    labels = predict(model, images)
    radii = find_radii(model, images, labels, norm)

    found, distances = fmn(model, images, labels, norm, steps=50)

    assert distances.isfinite().all()
    assert (distances >= radii * (1 - 1e-3)).all()
    # The class that is nearest may not be the one whose logit is highest.
    excess = distances / radii - 1
    assert excess.quantile(0.9) < (0.01 if classes == 2 else 0.05)
    assert (predict(model, found) != labels).all()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_what_is_returned_is_misclassified_in_the_box_and_as_far_away_as_it_says(norm):
    model = BentNet()
    images = torch.cat([draw_pixels(40), draw_pixels(10, low=0, high=1).round()])  # some pixels are 0 or 1
    labels = predict(model, images)

    found, distances = fmn(model, images, labels, norm, steps=20)

    assert (predict(model, found) != labels).equal(distances.isfinite())
    assert distances.isfinite().sum() > 40
    assert torch.allclose(
        distance(found, images, norm)[distances.isfinite()], distances[distances.isfinite()]
    )
    assert found.min() >= 0
    assert found.max() <= 1


def test_where_nothing_is_found_the_image_comes_back_with_infinity():
    model, images = LinearNet(2), draw_pixels(4)
    with torch.no_grad():
        model.bias[0] += 1000

    found, distances = fmn(model, images, torch.zeros(4, dtype=torch.int64), "Linf", steps=10)

    assert torch.equal(found, images)
    assert distances.tolist() == [torch.inf] * 4


def test_an_image_that_is_wrong_already_is_0_away():
    model, images = LinearNet(2), draw_pixels(4)

    found, distances = fmn(model, images, 1 - predict(model, images), "L2", steps=10)

    assert torch.equal(found, images)
    assert distances.tolist() == [0.0] * 4


def test_every_step_costs_one_gradient():
    model, images = BentNet(), draw_pixels(7)

    with weights_frozen(model), gradients_counted(model) as counter:
        fmn(model, images, predict(model, images), "Linf", steps=9)

    assert counter.gradients == 7 * 9
