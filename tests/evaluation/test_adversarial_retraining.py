"""Tickets that were trained adversarially: what their metrics say more, and what they cost."""

import pytest

from lottery_pipeline.evaluation.metrics import evaluate_ticket
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.training.robust_gap import measure_robust_gap
from tests.tiny import RECIPE, extract, pretrain_tiny

ADVERSARIAL = RECIPE.replace(adversary={"kind": "pgd", "eps": "4/255", "steps": 3}, augmix=True)
NEW = {"robust_validation_accuracy", "robust_generalisation_gap", "robust_best_minus_last"}
PASSES = 1 + 3 * 2 / 3


def measure(found, retraining, images, dense):
    options = {"history": retraining.history, "device": "cpu", **found.costs, **retraining.costs}
    return evaluate_ticket(retraining.ticket, found.ticket, images, dense, **options)


def test_the_metrics_say_how_robustness_generalises_and_count_the_attack(
    images, dense, extraction, retraining
):
    adversarial = retrain_ticket(extraction.ticket, images, ADVERSARIAL, seed=0, device="cpu")

    plain = measure(extraction, retraining, images, dense)
    metrics = measure(extraction, adversarial, images, dense)

    assert metrics.keys() - plain.keys() == NEW
    assert measure_robust_gap(adversarial.history).items() <= metrics.items()
    assert metrics["train_epochs"] == pytest.approx(PASSES * plain["train_epochs"])
    assert metrics["train_macs"] == pytest.approx(PASSES * plain["train_macs"], rel=1e-6)
    assert metrics["search_macs"] == plain["search_macs"]


def test_a_search_under_an_adversary_costs_as_much_more_from_its_first_row_on(images, extraction):
    dense = pretrain_tiny(images, recipe=ADVERSARIAL)

    found = extract("ltr", images, dense, recipe=ADVERSARIAL, density=0.3, rate=0.5)

    plain, rows = extraction.ladder.rows, found.ladder.rows
    assert [row["epochs"] for row in rows] == pytest.approx([PASSES * row["epochs"] for row in plain])
    assert found.search_epochs == pytest.approx(PASSES * extraction.search_epochs)
