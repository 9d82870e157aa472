import pytest

from lottery_pipeline.reporting.sweeps import differences
from lottery_pipeline.reporting.sweeps.cells import summarise_cells
from lottery_pipeline.reporting.sweeps.rows import tabulate_points
from tests.reporting.sweeps.studies import DONE, find, measure, read, study


def test_the_lowest_density_that_is_as_good_as_dense_is_named():
    texts = read(find(study(seeds=8, ladder=False)))
    assert (
        "Lowest density that is shown to lose less than 1 point to its own dense parent: LTR 7%, CTS 20%."
        in texts
    )
    assert "Not shown at any density: SNIP, Random." in texts
    texts = read(find(study(seeds=3, methods=("random",)), margin=0.005))
    assert "No kind of ticket is shown to lose less than 0.5 points to its own dense parent." in texts


def test_a_long_list_is_cut():
    texts = read(find(study(seeds=2, methods=("random",), densities=(0.018,), ladder=False, lr=range(1, 41))))
    (listed,) = [text for text in texts if "Not shown at any density" in text or "No kind of ticket" in text]
    assert len(listed) < 500
    cells, found = study(seeds=8, methods=("ltr",), densities=(0.2,), ladder=False, lr=range(20))
    cells["verdict"] = "winning"
    (listed,) = [text for text in read(find((cells, found))) if text.startswith("Lowest density")]
    assert listed.endswith("LTR (lr 11) 20% and 8 more.")


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
