import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.robustness import gradient_checks
from lottery_pipeline.robustness.gradient_checks import (
    gives_probabilities,
    is_monotone,
    is_randomised,
    share_of_zero_gradients,
)
from lottery_pipeline.robustness.threat import Threat
from tests.robustness.linear_models import BentNet, LinearNet, draw_pixels, predict


def test_dropout_that_is_left_on_is_seen():
    model, images = nn.Sequential(nn.Dropout(0.2), LinearNet(3)), draw_pixels(4)

    assert is_randomised(model.train(), images)
    assert not is_randomised(model.eval(), images)


def test_outputs_that_change_to_nan_are_no_proof_of_sameness():
    class Breaking(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) * float("nan")

    assert is_randomised(Breaking(), draw_pixels(2))


def test_a_softmax_at_the_end_is_seen():
    model, images = LinearNet(3), draw_pixels(4)

    assert gives_probabilities(nn.Sequential(model, nn.Softmax(1)), images)
    assert not gives_probabilities(model, images)
    assert not gives_probabilities(nn.Sequential(model, nn.Sigmoid()), images)


def test_images_without_any_gradient_are_counted():
    class Half(nn.Module):
        """Depends on bright images only."""

        def forward(self, images: Tensor) -> Tensor:
            sums = images.flatten(1).sum(1) * (images.flatten(1).mean(1) > 0.5)
            return torch.stack([sums, -sums], dim=1)

    images = torch.stack([torch.full((1, 4, 4), value) for value in (0.1, 0.2, 0.3, 0.9)])

    assert share_of_zero_gradients(Half(), images, torch.zeros(4, dtype=torch.int64)) == 0.75
    assert share_of_zero_gradients(LinearNet(2), images, torch.zeros(4, dtype=torch.int64)) == 0.0


@pytest.mark.parametrize(("fooled", "monotone"), [({10: 3, 5: 3}, True), ({10: 2, 5: 3}, False)])
def test_more_steps_that_fool_fewer_images_are_not_monotone(monkeypatch, fooled, monotone):
    model, images = BentNet(), draw_pixels(4)
    labels = predict(model, images)
    other = torch.stack([draw_pixels(50)[predict(model, draw_pixels(50)) != label][0] for label in labels])

    def attack(_model, clean, _labels, _threat, *, steps, **_given):
        count = fooled[steps]
        return torch.cat([other[:count], clean[count:]])

    monkeypatch.setattr(gradient_checks, "pgd", attack)
    given = {"step_size": None, "seed": 0, "indices": torch.arange(4)}

    assert is_monotone(model, images, labels, Threat("Linf", 0.1), steps=10, **given) is monotone


def test_pgd_itself_is_monotone():
    model, images = BentNet(), draw_pixels(30)
    given = {"steps": 10, "step_size": None, "seed": 0, "indices": torch.arange(30)}

    assert is_monotone(model, images, predict(model, images), Threat("Linf", 0.02), **given)
