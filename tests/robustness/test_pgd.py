import itertools

import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.images.balls import project, steepest
from lottery_pipeline.robustness.gradients import cross_entropy, gradients_counted, weights_frozen
from lottery_pipeline.robustness.pgd import pgd
from lottery_pipeline.robustness.threat import Threat, is_within
from tests.reference.adversarial_naive import count_gradients_naively, find_first_steps
from tests.robustness.linear_models import (
    BentNet,
    LinearNet,
    draw_pixels,
    middle_eps,
    predict,
    split_by_radius,
)


def attack(model: nn.Module, images: Tensor, labels: Tensor, threat: Threat, **changes: object) -> Tensor:
    given = {"steps": 10, "seed": 0, "indices": torch.arange(len(images)), **changes}
    return pgd(model, images, labels, threat, **given)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_pgd_is_exact_on_two_linear_classes(norm):
    model, images = LinearNet(2), draw_pixels(200)
    labels = predict(model, images)
    threat = Threat(norm, middle_eps(model, images, labels, norm))
    falls, stands = split_by_radius(model, images, labels, threat)

    # In L2 the ball is round, so it takes some steps along its surface.
    wrong = predict(model, attack(model, images, labels, threat, steps=40)) != labels

    assert min(falls.sum(), stands.sum()) > 90
    assert wrong[falls].all()
    assert not wrong[stands].any()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_towards_each_class_in_turn_it_is_exact_on_many_linear_classes(norm):
    model, images = LinearNet(5), draw_pixels(200)
    labels = predict(model, images)
    threat = Threat(norm, middle_eps(model, images, labels, norm))
    falls, stands = split_by_radius(model, images, labels, threat)

    wrong = torch.zeros_like(labels, dtype=torch.bool)
    for target in range(5):
        current = images
        for _ in range(20):
            direction = (model.weight[target] - model.weight[labels]).detach().view_as(images)
            current = project(
                current + threat.eps / 4 * steepest(direction, norm), images, threat.norm, threat.eps
            )
        wrong |= predict(model, current) != labels
    untargeted = predict(model, attack(model, images, labels, threat)) != labels

    assert min(falls.sum(), stands.sum()) > 90
    assert wrong[falls].all()
    assert not wrong[stands].any()
    assert not untargeted[stands].any()


def test_more_steps_of_one_size_never_fool_fewer_images():
    model, images = BentNet(), draw_pixels(60)
    labels = predict(model, images)
    threat = Threat("Linf", 0.015)

    fooled = [
        predict(model, attack(model, images, labels, threat, steps=steps, step_size=0.004)) != labels
        for steps in (1, 2, 3, 5, 10)
    ]

    for fewer, more in itertools.pairwise(fooled):
        assert not (fewer & ~more).any()
    assert 0 < fooled[0].sum() < fooled[-1].sum() < 60


def test_more_restarts_never_fool_fewer_images():
    model, images = BentNet(), draw_pixels(60)
    labels = predict(model, images)

    given = {"threat": Threat("Linf", 0.02), "steps": 1, "step_size": 0.001}
    once, often = (
        predict(model, attack(model, images, labels, restarts=restarts, **given)) != labels
        for restarts in (1, 8)
    )

    assert not (once & ~often).any()
    assert once.sum() < often.sum()


def test_an_image_that_stands_gets_the_point_of_highest_loss_that_was_seen():
    model, images = BentNet(), draw_pixels(20)
    labels, threat = predict(model, images), Threat("Linf", 1e-3)

    def losses(steps: int) -> Tensor:
        found = attack(model, images, labels, threat, steps=steps, step_size=2e-3)
        assert (predict(model, found) == labels).all()
        return cross_entropy(model(found), labels).detach()

    by_steps = torch.stack([losses(steps) for steps in range(1, 8)])

    assert (by_steps.diff(dim=0) >= 0).all()
    assert (by_steps[-1] > by_steps[0]).any()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_first_misclassified_point_is_returned_as_it_was_found(norm):
    model, images = BentNet(), draw_pixels(30)
    labels, threat = predict(model, images), Threat(norm, 0.1 if norm == "Linf" else 0.3)

    found = attack(model, images, labels, threat)
    first = find_first_steps(model, images, labels, threat, steps=10, seed=0, indices=torch.arange(30))

    assert is_within(found, images, threat).all()
    assert (predict(model, found) != labels).tolist() == [step is not None for step in first]
    assert len(set(first)) > 2


def test_fooled_images_cost_gradients_only_until_half_of_the_batch_is_fooled():
    model, images = BentNet(), draw_pixels(50)
    labels, threat = predict(model, images), Threat("Linf", 0.03)
    # With one step size for all eps the first steps differ widely.
    given = {"steps": 12, "step_size": 0.004, "seed": 0, "indices": torch.arange(50)}
    first = find_first_steps(model, images, labels, threat, **given)

    with weights_frozen(model), gradients_counted(model) as counter:
        pgd(model, images, labels, threat, **given)

    alone = sum(12 if step is None else min(step + 1, 12) for step in first)
    assert counter.gradients == count_gradients_naively(first, steps=12)
    assert alone < counter.gradients < 50 * 12


def test_eps_0_returns_the_images():
    model, images = BentNet(), draw_pixels(5)

    assert torch.equal(attack(model, images, predict(model, images), Threat("L2", 0.0)), images)
