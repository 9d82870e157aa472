from lottery_pipeline.datasets.records import TableDataset
from tests.reporting.sweeps.studies import find, measure, read, study


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


def test_a_network_of_its_own_is_no_rival_in_the_headline():
    scores = {"supertickets": [0.99, 0.98], "ltr": [0.96, 0.95], "cts": [0.95, 0.94]}
    headline = find(measure(scores)).headline
    assert "LTR has the highest validation accuracy" in headline
    assert "SuperTickets reaches" in find(measure({"supertickets": [0.99, 0.98]})).headline


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
