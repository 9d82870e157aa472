import logging
import sys

import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.options import extras
from lottery_pipeline.options.robustness import AutoAttackOptions
from lottery_pipeline.robustness.autoattack import autoattack, find_obstacle
from lottery_pipeline.robustness.threat import Threat, is_within
from tests.robustness.linear_models import (
    BentNet,
    LinearNet,
    draw_pixels,
    middle_eps,
    predict,
    split_by_radius,
)

PARTS = ("apgd-ce", "apgd-t", "fab-t", "square")


def small(*parts: str, iterations: int = 10, queries: int = 50) -> AutoAttackOptions:
    return AutoAttackOptions(parts=parts or PARTS, iterations=iterations, queries=queries)


def attack(
    model: nn.Module, images: Tensor, threat: Threat, options: AutoAttackOptions, *, seed: int = 0
) -> tuple[Tensor, dict[str, bool]]:
    return autoattack(model, images, predict(model, images), threat, options=options, seed=seed)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("part", PARTS)
def test_every_part_stays_in_the_ball_and_the_box(norm, part):
    shape = (3, 8, 8)
    model = LinearNet(5, shape=shape)
    images = torch.cat([draw_pixels(10, shape=shape), draw_pixels(5, shape=shape, low=0, high=1).round()])
    threat = Threat(norm, middle_eps(model, images, predict(model, images), norm))

    found, _ = attack(model, images.contiguous(memory_format=torch.channels_last), threat, small(part))

    assert is_within(found, images, threat).all()
    assert (predict(model, found) != predict(model, images)).any()


@pytest.mark.parametrize("part", ["apgd-ce", "apgd-t", "fab-t"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_parts_with_gradients_find_all_but_1_percent_of_what_a_linear_network_allows(part, norm):
    # Of a sure network: else the cross-entropy of APGD-CE mixes the classes and misses every sixth image.
    model, images = LinearNet(10, scale=50), draw_pixels(220)
    labels = predict(model, images)
    threat = Threat(norm, middle_eps(model, images, labels, norm))
    falls, stands = split_by_radius(model, images, labels, threat)

    found, _ = attack(model, images, threat, small(part, iterations=20))

    wrong = predict(model, found) != labels
    assert min(falls.sum(), stands.sum()) > 100
    assert wrong[falls].double().mean() >= 0.99
    assert not wrong[stands].any()


def test_the_whole_is_at_least_as_strong_as_each_part():
    model, images = BentNet(), draw_pixels(60)
    labels, threat = predict(model, images), Threat("Linf", 0.01)

    def standing(*parts: str) -> int:
        found, _ = attack(model, images, threat, small(*parts, iterations=5, queries=20))
        return int((predict(model, found) == labels).sum())

    single = [standing(part) for part in PARTS]

    assert standing() <= min(single) < max(single) <= len(images)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_few_classes_run_what_they_can(classes):
    model, images = LinearNet(classes), draw_pixels(40)
    labels = predict(model, images)
    threat = Threat("Linf", middle_eps(model, images, labels, "Linf"))
    falls, stands = split_by_radius(model, images, labels, threat)

    found, warnings = attack(model, images, threat, small())

    wrong = predict(model, found) != labels
    assert wrong[falls].all()
    assert not wrong[stands].any()
    assert not any(warnings.values())


def test_what_cannot_run_is_named_with_its_reason():
    def obstacles(norm: str, classes: int, size: tuple[int, int]) -> dict[str, str]:
        found = {part: find_obstacle(part, norm, classes=classes, size=size) for part in PARTS}
        return {part: reason for part, reason in found.items() if reason}

    assert obstacles("Linf", 10, (32, 32)) == {}
    assert obstacles("L2", 4, (8, 8)) == {}
    assert obstacles("Linf", 3, (4, 4)) == {"apgd-t": "it needs 4 classes"}
    assert obstacles("L2", 10, (14, 14)) == {"square": "it cannot tile images of 14 x 14 pixels in L2"}


@pytest.mark.parametrize("side", [4, 5, 8, 11, 12, 13, 14, 16, 18, 19, 24, 28, 32])
def test_square_runs_in_l2_exactly_where_no_obstacle_is_named(side):
    from pyautoattack.square import SquareAttack

    model, images = LinearNet(3, shape=(1, side, side)), draw_pixels(2, shape=(1, side, side))
    square = SquareAttack(model, norm="L2", n_queries=2, eps=1e-4, seed=0)
    fits = find_obstacle("square", "L2", classes=3, size=(side, side)) is None

    if fits:
        assert square.perturb(images, predict(model, images)).shape == images.shape
    else:
        with pytest.raises((ZeroDivisionError, RuntimeError)):
            square.perturb(images, predict(model, images))


def test_eps_0_returns_the_images():
    model, images = LinearNet(4), draw_pixels(5)

    assert torch.equal(attack(model, images, Threat("Linf", 0.0), small())[0], images)


def test_one_seed_gives_one_result_and_leaves_the_generator_alone():
    model, images, threat = BentNet(), draw_pixels(20), Threat("Linf", 0.01)
    torch.manual_seed(5)
    before = torch.get_rng_state()

    first, _ = attack(model, images, threat, small("square"))
    second, _ = attack(model, images, threat, small("square"))
    other, _ = attack(model, images, threat, small("square"), seed=1)

    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_debuggers_keep_their_trace_function():
    def trace(frame, event, argument):
        return None

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        attack(LinearNet(4), draw_pixels(2), Threat("Linf", 0.01), small("apgd-ce"))
        after = sys.gettrace()
    finally:
        sys.settrace(before)

    assert after is trace


def test_weights_are_left_without_gradients_and_as_trainable_as_before():
    model = LinearNet(4)

    attack(model, draw_pixels(4), Threat("Linf", 0.05), small("fab-t"))

    assert model.weight.requires_grad
    assert model.weight.grad is None


class Masked(nn.Module):
    """Sees only which pixels are above one half: no gradient gets through."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = LinearNet(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.inner((images - 0.5).sign() / 10 + 0.5)


def test_warnings_become_flags(caplog):
    images, threat = draw_pixels(30), Threat("Linf", 0.1)

    _, masked = attack(Masked(), images, threat, small("apgd-ce", "apgd-t", "square"))
    _, softmax = attack(nn.Sequential(LinearNet(4), nn.Softmax(1)), images, threat, small("apgd-ce"))
    _, dropout = attack(nn.Sequential(nn.Dropout(0.3), LinearNet(4)), images, threat, small("apgd-ce"))
    _, clean = attack(LinearNet(4), images, threat, small())

    assert {name for name, given in masked.items() if given} == {"zero_gradients", "black_box_stronger"}
    assert {name for name, given in softmax.items() if given} == {"looks_like_probabilities"}
    assert {name for name, given in dropout.items() if given} == {"randomised"}
    assert not any(clean.values())
    assert not caplog.records


def test_a_network_that_differentiates_itself_is_dynamic_and_the_next_one_is_not():
    class Adapting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = LinearNet(4)

        def forward(self, images: Tensor) -> Tensor:
            with torch.enable_grad():
                pixels = images.detach().requires_grad_()
                torch.autograd.grad(self.inner(pixels).sum(), pixels)
            return self.inner(images)

    images, threat = draw_pixels(3), Threat("Linf", 0.01)

    assert attack(Adapting(), images, threat, small("apgd-ce"))[1]["dynamic"]
    assert not attack(LinearNet(4), images, threat, small("apgd-ce"))[1]["dynamic"]


def test_a_warning_that_is_not_known_is_still_printed(caplog, monkeypatch):
    from pyautoattack import checks

    def warn(*_given, logger, **_further):
        logger.warning("something new")

    monkeypatch.setattr(checks, "check_n_classes", warn)
    with caplog.at_level(logging.WARNING):
        attack(LinearNet(4), draw_pixels(2), Threat("Linf", 0.01), small("apgd-ce"))

    assert [record.getMessage() for record in caplog.records] == ["AutoAttack: something new"]


def test_without_the_package_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)

    with pytest.raises(ValueError, match=r'^this needs the extra "robust": pip install'):
        attack(LinearNet(4), draw_pixels(2), Threat("Linf", 0.01), small())
