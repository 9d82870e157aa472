import pytest

from lottery_pipeline.datasets.records import TableDataset
from lottery_pipeline.reporting.sweeps import differences
from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.findings import find_findings
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from tests.reporting.sweeps.studies import measure, study

DONE = {"done": 3, "failed": 0, "running": 0, "missing": 0, "stale": 0, "damaged": 0}


def find(found, states=DONE, margin=0.01):
    return find_findings(*found, states, margin=margin)


def read(findings):
    return [finding.text for finding in findings.sentences]


def test_a_lead_that_holds_is_told_with_its_interval():
    findings = find(measure({"ltr": [0.960, 0.961, 0.962, 0.963], "cts": [0.950, 0.952, 0.951, 0.953]}))
    assert findings.headline == (
        "With 1.8% of the weights, LTR has the highest validation accuracy; on the test images it reaches "
        "96.2% (mean of 4 seeds, 95% interval 95.9% to 96.4%). It is ahead of CTS, the next, by 1.0 points "
        "(95% interval +0.9 to +1.1, Holm p = 0.00015)."
    )
    assert "One comparison between methods shows a difference after Holm’s correction." in read(findings)


def test_a_lead_that_chance_explains_is_not_called_one():
    findings = find(measure({"ltr": [0.96, 0.95, 0.97], "cts": [0.95, 0.96, 0.96]}))
    assert findings.headline.endswith(
        "Its difference to CTS, the next, is +0.3 points (95% interval −2.5 to +3.2): chance may explain it."
    )


def test_a_lead_that_is_lost_among_many_comparisons_is_not_called_one():
    many = {
        name: [0.9 + place / 100, 0.905, 0.9] for place, name in enumerate(("snip", "grasp", "random", "cts"))
    }
    findings = find(measure({"ltr": [0.960, 0.961, 0.963], "lth": [0.958, 0.959, 0.960], **many}))
    assert (
        "+0.2 points (95% interval +0.1 to +0.4): among 15 comparisons, chance may explain it"
        in findings.headline
    )


def test_who_is_ahead_on_validation_images_may_be_behind_on_test_images():
    cells, found = measure({"ltr": [0.960, 0.961, 0.962, 0.963], "cts": [0.950, 0.952, 0.951, 0.953]})
    cells["validation_accuracy"] = 1 - cells["validation_accuracy"]
    headline = find((cells, found)).headline
    assert "CTS has the highest validation accuracy" in headline
    assert "It is behind LTR, the next, by 1.0 points (95% interval −1.1 to −0.9" in headline


def test_one_seed_shows_nothing_and_says_so():
    findings = find(measure({"ltr": [0.96], "cts": [0.95]}))
    assert findings.headline == (
        "With 1.8% of the weights, LTR has the highest validation accuracy; on the test images it reaches "
        "96.0% (one seed). The next is CTS; the difference, +1.0 points, is of one seed and shows nothing."
    )
    assert "One seed: there are no intervals, and differences between tickets may be chance alone." in read(
        findings
    )
    assert not any("lose less" in text for text in read(findings)), "there is no verdict"


def test_without_validation_images_none_is_called_the_best():
    headline = find(measure({"ltr": [0.96, 0.95], "cts": [0.95, 0.95]}, validation_accuracy=None)).headline
    assert headline == (
        "With 1.8% of the weights, 2 kinds of ticket were measured. None is called the best, because "
        "there are no validation images to choose by."
    )


def test_one_method_alone_stands_beside_its_dense_parents():
    assert find(measure({"cts": [0.96, 0.95]})).headline == (
        "With 1.8% of the weights, CTS reaches 95.5% (mean of 2 seeds, 95% interval 89.1% to 100.0%); its "
        "dense parents reach 97.0%."
    )


def test_other_scores_have_their_own_name():
    findings = find(measure({"ltr": [0.96, 0.95], "snip": [0.95, 0.93]}, metric="mIoU"))
    assert "LTR has the highest validation mIoU" in findings.headline


def test_the_headline_is_about_the_lowest_density_that_most_methods_have():
    cells, found = study(seeds=3)
    assert find((cells, found)).headline.startswith("With 0.74% of the weights, ")
    alone = cells[~((cells["method"] != "ltr") & (cells["density"] < 0.01))]
    assert find((alone, found)).headline.startswith("With 1.8% of the weights, ")


def test_the_lowest_density_that_is_as_good_as_dense_is_named():
    texts = read(find(study(seeds=8, ladder=False)))
    assert (
        "Lowest density that is shown to lose less than 1 point to its own dense parent: LTR 7%, CTS 20%."
        in texts
    )
    assert "Not shown at any density: SNIP, Random." in texts
    texts = read(find(study(seeds=3, methods=("random",)), margin=0.005))
    assert "No kind of ticket is shown to lose less than 0.5 points to its own dense parent." in texts


def test_a_network_of_its_own_is_no_rival_in_the_headline():
    scores = {"supertickets": [0.99, 0.98], "ltr": [0.96, 0.95], "cts": [0.95, 0.94]}
    headline = find(measure(scores)).headline
    assert "LTR has the highest validation accuracy" in headline
    assert "SuperTickets reaches" in find(measure({"supertickets": [0.99, 0.98]})).headline


def test_every_experiment_has_its_sentence():
    findings = find(study(seeds=2, experiments=("base", "cifar10"), densities=(0.018,)))
    assert findings.headline.startswith("On base, with 1.8% of the weights, ")
    assert any(text.startswith("On cifar10, with 1.8% of the weights, ") for text in read(findings))


def test_what_is_not_in_the_means_is_told():
    found = measure({"ltr": [0.96, float("nan")], "cts": [0.95, 0.93]})
    texts = read(find(found, DONE | {"failed": 2, "missing": 1}))
    assert "Not all points are in the means: 2 failed, 1 missing." in texts
    assert "1 result without a number is not in the means." in texts
    assert "1 of 2 means is of one seed, without an interval." in texts


@pytest.mark.parametrize("states", [DONE, dict.fromkeys(DONE, 0)])
def test_a_sweep_without_results_says_so(states):
    rows = tabulate_points([])
    findings = find((summarise_cells(rows), differences.compare_cells(rows)), states)
    assert findings.headline == "No point of this sweep has a result yet."


def test_what_is_too_much_to_compare_is_told(monkeypatch):
    cells, found = study(seeds=2)
    monkeypatch.setattr(differences, "MOST_PAIRS", 3)
    texts = read(find((cells, found)))
    assert "The methods are not compared: there are more than 20,000 pairs." in texts


def test_values_of_a_number_are_found_again_after_a_file_has_held_them(tmp_path):
    stored = []
    for table, texts in zip(
        study(seeds=3, methods=("cts",), length=(10, 20)), ([], ["first", "second"]), strict=True
    ):
        dataset = TableDataset(filepath=str(tmp_path / "table.csv"), text_columns=texts)
        dataset.save(table)
        stored.append(dataset.load())
    headline = find(stored).headline
    assert "CTS (length 10) has the highest validation accuracy" in headline
    assert "Its difference to CTS (length 20), the next, is" in headline
