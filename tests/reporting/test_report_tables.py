"""The tables of the report below the leaderboard."""

import pandas as pd

from tests.reporting.records import (
    make_controls,
    make_dense_metrics,
    make_ladder,
    make_metrics,
    make_superticket,
)
from tests.reporting.rendering import Page, render


def test_each_control_stands_beside_the_ticket_of_its_rung():
    page = Page(render())
    assert "LTR random mask 2 32% 96.2% 98.0% +1.8" in page.text
    assert "LTR new initial weights 4 10% 92.7% 97.5% +4.8" in page.text


def test_controls_of_a_smaller_network_have_the_density_of_its_ticket():
    rows = [row | {"prunable": 13_400, "density": 0.5} for row in make_controls() if row["kept"] == 6_700]
    metrics = {"supertickets": make_superticket()}
    text = Page(render(metrics, ladders={}, controls={"supertickets": rows})).text
    assert "SuperTickets random mask 4 33.5% 90.5% 98.0% +7.5" in text


def test_robust_overfitting_is_told_of_what_was_trained_with_an_adversary():
    def robust(last: float, gap: float, lost: float) -> dict[str, float]:
        return {
            "robust_validation_accuracy": last,
            "robust_generalisation_gap": gap,
            "robust_best_minus_last": lost,
        }

    metrics = {"lth": make_metrics("lth"), "ltr": make_metrics("ltr", **robust(0.512, 0.104, 0.02))}
    dense = make_dense_metrics(**robust(0.531, -0.004, 0.0))

    text = Page(render(metrics, dense_metrics=dense)).text

    assert "Best minus last epoch Dense network 53.1% −0.4 ±0.0 LTR 51.2% +10.4 +2.0 In percentage" in text
    assert "Adversarial training" not in Page(render()).text


def test_the_first_column_of_the_profile_is_a_name_even_if_it_is_a_digit():
    text = render(data_profile=pd.DataFrame({"class": [0, 1], "train": [1200, 1300]}))
    assert '<td>0</td><td class="n">1,200</td>' in text


def test_numbers_that_are_missing_are_dashes():
    ladder = [row | {"validation_accuracy": None, "early_stop_step": None} for row in make_ladder("ltr")]
    assert "0 100% 67,000 98.1% ±0.0 – – 28.5 14" in Page(render(ladders={"ltr": ladder})).text
