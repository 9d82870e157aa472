import pytest

from lottery_pipeline.reporting.findings import find
from lottery_pipeline.reporting.leaderboard import build_leaderboard
from tests.reporting.records import make_controls, make_ladder, make_metrics, make_superticket


def read(metrics, *, ladders=None, controls=None, test_images=None):
    return find(build_leaderboard(metrics), ladders or {}, controls or {}, test_images=test_images)


def texts(findings):
    return [finding.text for finding in findings.sentences]


def make_pair(**changes):
    """LTH, less accurate on the validation images too; and LTR."""
    return {"lth": make_metrics("lth"), "ltr": make_metrics("ltr"), **changes}


def test_the_headline_names_the_best_ticket_how_it_was_chosen_and_what_it_keeps():
    findings = read(make_pair())
    assert findings.headline == (
        "With 10% of the weights, the LTR ticket, chosen by validation accuracy, keeps 99.4% of the dense "
        "network's accuracy."
    )
    assert findings.best["method"] == "ltr"
    assert findings.best["title"] == "LTR ticket, test accuracy; chosen by validation accuracy"


def test_the_test_images_do_not_choose_the_best_ticket():
    lucky = make_metrics("cts", test_accuracy=0.999, validation_accuracy=0.97)
    findings = read(make_pair(cts=lucky))
    assert findings.best["method"] == "ltr"
    assert "Next at this density, by validation accuracy, is CTS: 99.9% on the test images, +2.4 points." in (
        texts(findings)
    )


def test_the_only_ticket_needs_no_choice():
    findings = read({"ltr": make_metrics("ltr", validation_accuracy=None)})
    assert findings.headline == (
        "With 10% of the weights, the LTR ticket keeps 99.4% of the dense network's accuracy."
    )
    assert findings.best["title"] == "LTR ticket, test accuracy"


def test_without_validation_images_no_ticket_is_the_best_and_all_are_compared_with_dense():
    metrics = {run: make_metrics(run, validation_accuracy=None) for run in ("lth", "ltr")}
    findings = read(metrics, ladders={"ltr": make_ladder("ltr")})
    assert findings.headline == (
        "2 tickets have 10% of the weights. None is called the best, because there are no validation images "
        "to choose by."
    )
    assert findings.best is None
    assert [text.split(" (")[0] for text in texts(findings) if "its dense parent" in text] == [
        "LTH reaches 94.1% on the test images, its dense parent 98.1%",
        "LTR reaches 97.5% on the test images, its dense parent 98.1%",
    ]
    assert not any("Next at" in text or "ladder" in text for text in texts(findings))


def test_a_ticket_as_good_as_its_parent_is_not_said_to_keep_more_than_everything():
    findings = read({"ltr": make_metrics("ltr", test_accuracy=0.99)})
    assert findings.headline == (
        "With 10% of the weights, the LTR ticket reaches 99.0%; the dense network reaches 98.1%."
    )


def test_the_headline_speaks_of_the_density_most_runs_share():
    findings = read(
        {
            "snip": make_metrics("snip", density=0.5, kept=33_500, validation_accuracy=0.99),
            **make_pair(),
        }
    )
    assert findings.best["method"] == "ltr"


def test_a_row_that_cannot_be_compared_never_makes_the_headline():
    stranger = make_metrics("cts", validation_accuracy=0.999, dense_fingerprint="e" * 64)
    findings = read(make_pair(cts=stranger))
    assert findings.best["method"] == "ltr"
    assert not any("CTS" in text for text in texts(findings))


def test_without_a_run_the_headline_says_so():
    findings = read({"ltr": None})
    assert findings.headline == "No ticket has been found yet."
    assert findings.best is None
    assert findings.sentences == []


def test_controls_are_compared_at_the_density_of_the_ticket_only():
    findings = read({"ltr": make_metrics("ltr")}, controls={"ltr": make_controls("ltr")})
    verdicts = [finding for finding in findings.sentences if "control" in finding.text]
    assert [finding.tone for finding in verdicts] == ["good", "good"]
    assert (
        verdicts[0].text == "LTR is above its control, random mask, at the same density (90.5%): +7.0 points."
    )
    assert "(92.7%): +4.8 points." in verdicts[1].text


def test_several_seeds_of_a_control_are_averaged_and_said_to_be():
    rows = [row for row in make_controls("ltr") if row["rung"] == 4 and row["control"] == "random_mask"]
    rows.append(rows[0] | {"seed": 1, "test_accuracy": 0.925})
    findings = read({"ltr": make_metrics("ltr")}, controls={"ltr": rows})
    assert any("(91.5%, mean of 2): +6.0 points." in text for text in texts(findings))


def test_a_control_that_beats_the_ticket_is_called_bad():
    rows = [make_controls("ltr")[1] | {"test_accuracy": 0.99}]
    findings = read({"ltr": make_metrics("ltr")}, controls={"ltr": rows})
    verdict = next(finding for finding in findings.sentences if "control" in finding.text)
    assert verdict.tone == "bad"
    assert verdict.text.startswith("LTR is below its control")


def test_a_missing_control_is_admitted():
    findings = read({"ltr": make_metrics("ltr")}, controls={"ltr": make_controls("ltr")[:1]})
    assert "No control was trained for the LTR ticket at this density." in texts(findings)


@pytest.mark.parametrize(
    ("accuracies", "sentence"),
    [
        (
            [0.98, 0.98, 0.975, 0.94, 0.93],
            "on 2 of 4 rungs, down to 32% of the weights, and reaches 98.0% on the test images there.",
        ),
        (
            [0.98, 0.98, 0.98, 0.98, 0.98],
            "on every rung, down to 10% of the weights, and reaches 97.5% on the test images there.",
        ),
        (
            [0.98, 0.9, 0.98, 0.9, 0.9],
            "On the ladder, even the first rung loses more than one point of validation accuracy.",
        ),
    ],
)
def test_the_ladder_is_read_down_to_the_first_rung_that_loses_a_point(accuracies, sentence):
    rows = zip(make_ladder("ltr"), accuracies, strict=True)
    ladder = [row | {"validation_accuracy": accuracy} for row, accuracy in rows]
    found = texts(read({"ltr": make_metrics("ltr")}, ladders={"ltr": ladder}))
    assert any(text.endswith(sentence) for text in found)


def test_the_next_method_is_named_with_its_distance():
    sentence = "Next at this density, by validation accuracy, is LTH: 94.1% on the test images, −3.4 points."
    assert sentence in texts(read(make_pair()))


def test_a_small_loss_on_few_images_is_called_even():
    findings = read({"ltr": make_metrics("ltr", test_accuracy=0.966)}, test_images=360)
    assert findings.sentences[0].tone == "even"
    assert "(−1.5 points, within the 2.4 explained by the choice of 360 test images)" in texts(findings)[0]


def test_dead_layers_are_named():
    findings = read({"ltr": make_metrics("ltr", dead_layers=["a", "b"])})
    assert any(text.startswith("LTR has 2 dead layers: no weight is left") for text in texts(findings))


def test_one_seed_never_claims_significance():
    assert texts(read({"ltr": make_metrics("ltr")}))[-1] == (
        "One seed (0): differences between methods are observations here, not significant results."
    )


def test_costs_are_said_without_promising_speed():
    text = texts(read({"ltr": make_metrics("ltr")}))[-2]
    assert "The search took 120 epochs" in text
    assert "a library for dense arithmetic still executes all of them" in text
    assert texts(read({"ltr": make_metrics("ltr", macs_dense=None)}))[-2].endswith("s).")


def test_a_network_of_its_own_is_compared_with_its_own_dense_parent_and_at_equal_weights():
    found = read({"ltr": make_metrics("ltr"), "supertickets": make_superticket()})
    assert found.best["method"] == "ltr"
    own, rival = [finding for finding in found.sentences if "SuperTickets" in finding.text]
    assert own.text == (
        "SuperTickets has a network of its own (supernet, D = 20,000). With 6,700 weights it reaches 98.0% "
        "(71.0% before its retraining), its dense parent 99.0% (−1.0 points)."
    )
    assert own.tone == "good"
    assert rival.text == (
        "LTR keeps as many weights, of another network, and reaches 97.5%: +0.5 points for SuperTickets."
    )


def test_networks_with_other_numbers_of_weights_are_not_compared():
    metrics = {"ltr": make_metrics("ltr"), "supertickets": make_superticket(kept=5_000, found_accuracy=None)}
    (own,) = [text for text in texts(read(metrics)) if "SuperTickets" in text]
    assert "With 5,000 weights it reaches 98.0%, its dense parent 99.0%" in own


def test_another_task_has_another_metric_and_no_margin_of_images():
    findings = read({"ltr": make_metrics("ltr", metric="mIoU")}, test_images=360)
    assert findings.headline.endswith("keeps 99.4% of the dense network's mIoU.")
    assert "(−0.6 points)" in texts(findings)[0]
