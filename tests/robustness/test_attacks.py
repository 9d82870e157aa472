import typing

import pytest
import torch

from lottery_pipeline.images.balls import distance
from lottery_pipeline.options.robustness import (
    AdversarialOptions,
    AttackName,
    AutoAttackOptions,
    AutoAttackPart,
)
from lottery_pipeline.robustness.attacks import ATTACKS, Target, list_attacks
from lottery_pipeline.robustness.threat import Threat, is_within
from tests.robustness.linear_models import BentNet, draw_pixels, predict

OPTIONS = AdversarialOptions(steps=5, fmn_steps=10, autoattack=AutoAttackOptions(iterations=5, queries=20))


def test_every_attack_of_the_options_is_in_the_table():
    assert set(ATTACKS) == {*typing.get_args(AttackName), *typing.get_args(AutoAttackPart)} - {"autoattack"}


def test_autoattack_is_the_cascade_of_its_parts():
    options = AdversarialOptions(
        attacks=("pgd", "autoattack", "fgsm"), autoattack=AutoAttackOptions(parts=("apgd-ce", "square"))
    )

    assert list_attacks(options) == ["pgd", "apgd-ce", "square", "fgsm"]


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_fools_within_the_ball_and_the_box(name, norm):
    shape = (1, 8, 8)
    model = BentNet(pixels=64)
    # Some images are black and white: every pixel lies on the edge of the box.
    images = torch.cat([draw_pixels(12, shape=shape), draw_pixels(4, shape=shape, low=0, high=1).round()])
    labels, threat = predict(model, images), Threat(norm, 0.02 if norm == "Linf" else 0.1)

    found, _ = ATTACKS[name].run(Target(model, images, labels, torch.arange(16), threat, 0), OPTIONS)

    wrong = predict(model, found) != labels
    assert wrong.any()
    if ATTACKS[name].finds_distance:
        assert is_within(found, images, Threat(norm, 1.0 if norm == "Linf" else 8.0)).all()
        assert (distance(found, images, norm)[wrong] > 0).all()
    else:
        assert is_within(found, images, threat).all()
