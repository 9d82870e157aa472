"""A search for a SuperTicket may train adversarially: the attack meets the network as it shrinks."""

import pytest

from lottery_pipeline.methods.supertickets import extract_supertickets
from tests.methods.supertickets.test_supertickets import STRONG
from tests.supernets import RECIPE, ask, pretrain_supernet
from tests.tiny import draw_images, search_for


def test_the_attack_follows_the_network_and_is_paid_for():
    images = draw_images(side=8)
    dense = pretrain_supernet(images)
    short = RECIPE.replace(epochs=3)
    recipe = short.replace(adversary={"kind": "fgsm_rs"})

    found = extract_supertickets(search_for(images, dense, recipe), ask(**STRONG))
    plain = extract_supertickets(search_for(images, dense, short), ask(**STRONG))

    assert found.ticket.kept == int(0.2 * dense.metrics["prunable"])
    assert found.trace[-1]["units"] == 80 < 95  # units of the whole supernet
    assert all(0 <= row["robust_validation_accuracy"] <= 1 for row in found.trace)
    assert not any("robust_validation_accuracy" in row for row in plain.trace)
    calibration = plain.search_epochs - 3
    assert found.search_epochs - calibration == pytest.approx(3 * 5 / 3)
    assert found.parts[0]["macs"] > 1.4 * plain.parts[0]["macs"]
