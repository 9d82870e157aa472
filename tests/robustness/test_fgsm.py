import pytest
import torch

from lottery_pipeline.images.balls import distance
from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.robustness.fgsm import fgsm
from lottery_pipeline.robustness.threat import Threat
from tests.robustness.linear_models import LinearNet, draw_pixels, middle_eps, predict, split_by_radius


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_one_step_is_exact_on_two_linear_classes(norm):
    model, images = LinearNet(2), draw_pixels(200)
    labels = predict(model, images)
    threat = Threat(norm, middle_eps(model, images, labels, norm))
    falls, stands = split_by_radius(model, images, labels, threat)

    wrong = predict(model, fgsm(model, images, labels, threat)) != labels

    assert falls.sum() > 90
    assert stands.sum() > 90
    assert wrong[falls].all()
    assert not wrong[stands].any()


def test_eps_is_in_units_of_pixels_whatever_the_network_normalises():
    network, images = LinearNet(2), draw_pixels(8)
    model = Classifier(Normalise((0.3,), (0.25,)), network)
    labels, threat = predict(model, images), Threat("Linf", 0.1)

    wrapped = fgsm(model, images, labels, threat)
    # The same attack on inputs that are normalised already moves the pixels by 0.25 eps only.
    normalised = (images - 0.3) / 0.25
    bare = fgsm(network, normalised.clamp(0, 1), labels, threat) * 0.25 + 0.3

    assert torch.allclose(model(images), network((images - 0.3) / 0.25))
    assert torch.allclose(distance(wrapped, images, "Linf"), torch.full((8,), 0.1))
    assert (distance(bare, normalised.clamp(0, 1) * 0.25 + 0.3, "Linf") < 0.1 - 1e-3).all()


def test_eps_0_returns_the_images():
    model, images = LinearNet(3), draw_pixels(5)

    assert torch.equal(fgsm(model, images, predict(model, images), Threat("Linf", 0.0)), images)
