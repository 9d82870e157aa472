"""The section on robustness: on the page once, honest about what failed and what it does not show."""

import re

from lottery_pipeline.pipelines.reporting.nodes import (
    OTHERS,
    build_leaderboard,
    draw_robustness,
    write_report,
)
from lottery_pipeline.reporting.report import ROBUSTNESS_FIGURES
from lottery_pipeline.reporting.robustness_section import describe_robustness
from tests.reporting.records import make_dense_metrics, make_history
from tests.reporting.rendering import HOSTILE, Page, render
from tests.reporting.robustness_records import (
    make_check,
    make_full_record,
    make_record,
    make_rows,
    name_network,
    share,
)


def write(record, data="digits", model="resnet20", *, drawn=False):
    """Write the page, without figures unless the test is about them: they bring 5 MB of plotly."""
    described = describe_robustness(record, data=data, model=model)
    return render(robustness=described, figures=draw_robustness(record) if drawn else {})


def test_the_page_holds_the_section_and_every_figure_once():
    text = write(make_full_record(), drawn=True)
    assert text.count("<h2>Robustness</h2>") == 1
    found = re.findall(r'data-figure="(\w+)"', text)
    assert found == list(ROBUSTNESS_FIGURES)
    assert text.count("plotly.js v") == 1
    assert Page(text).text.count("Robustness at a glance") == 1


def test_the_report_of_a_run_draws_from_the_record_of_the_evaluation():
    parameters = {
        "seed": 0,
        "data": {"source": "torchvision:CIFAR10"},
        "model": {"name": "resnet18"},
        "pretraining": {"epochs": 10, "rewind_epoch": 1, "batch_size": 64},
        "work": {"experiment": "base", "variant": "base", "models": "/data/06_models/base/base"},
    }
    dense = {"metrics": make_dense_metrics(), "history": make_history()}
    results = {"robustness_evaluation": make_record()}
    summary = {"summary": {"test": 360}}
    page = write_report(build_leaderboard({}), None, summary, dense, results, parameters)
    assert page.count("<h2>Robustness</h2>") == page.count('data-figure="eps_curves"') == 1
    assert "Li20 (LTH)" in page
    assert "Robustness" not in write_report(build_leaderboard({}), None, summary, dense, {}, parameters)


def test_without_a_record_the_page_says_nothing_about_robustness():
    assert describe_robustness(None, data="digits", model="resnet20") is None
    assert describe_robustness({"networks": [], "rows": []}, data="digits", model="resnet20") is None
    assert describe_robustness(make_record(rows=[]), data="digits", model="resnet20") is None
    assert "Robustness" not in Page(render()).text
    assert "robustness_evaluation" in OTHERS


def test_the_summary_is_written_for_people():
    text = Page(write(make_record())).text
    assert "Test images: 360 unchanged, 200 attacked, 360 corrupted." in text
    assert "LTR 10% of the weights 88.0% 84.6 to 91.4% 10.0% 5.7 to 14.3% 2/255" in text
    assert "Small: 95% intervals. Linf eps 8/255 is the largest eps that was asked for" in text
    assert "FPR95, strangers positive: shuffled pixels" in text


def test_that_all_checks_passed_is_said():
    text = Page(write(make_record())).text
    assert "✓ All 2 checks of the evaluation itself passed." in text
    one = Page(write(make_record(checks=[make_check("ltr", passed=True)]))).text
    assert "The check of the evaluation itself passed." in one
    assert "The evaluation itself was not checked." in Page(write(make_record(checks=[]))).text


def test_failed_checks_stand_before_the_numbers_and_beside_them():
    failed = make_check("ltr", passed=False, sentence="the gradient is zero for 12% of the images.")
    text = write(make_record(checks=[failed, make_check("dense", passed=True)]))
    page = Page(text).text
    assert "A check of this evaluation failed. 1 passed." in page
    assert "LTR, zero gradients: the gradient is zero for 12% of the images." in page
    assert text.index("A check of this evaluation failed.") < text.index('<table class="robustness">')
    assert '<small class="warn">1 check failed</small>' in text
    assert "itself passed" not in page
    assert "1 check of the robustness evaluation failed (LTR)" in page


def test_comparisons_have_p_values_and_a_verdict_with_the_margin():
    text = Page(write(make_record())).text
    assert "Not worse by 1 point" in text
    assert "LTR Linf eps 8/255 −10.0 −13.0 to −7.0 <0.001 0.001 no 200" in text
    assert "LTR corrupted images, mean +2.0 +1.0 to +3.0 0.200 0.400 yes 200" in text
    assert "Not worse by 2.5 points" in Page(write(make_record(margin=0.025))).text
    assert "Not worse by" not in Page(write(make_record(margin=None))).text


def test_how_far_pruning_can_go_is_told_for_clean_and_corrupted_images():
    text = Page(write(make_record())).text
    assert (
        "within half a point of the dense network: 0.0% on clean images, 90.0% under corruptions on average "
        "and 0.0% under the worst (contrast)." in text
    )
    assert "Prune potential" not in Page(write(make_full_record())).text


def test_a_comparison_at_the_floor_is_marked():
    assert "a floor: dense is at chance" not in write(make_record())
    assert "Linf eps 8/255 a floor: dense is at chance −10.0" in Page(write(make_record(classes=5))).text


def test_what_it_shows_is_told_with_the_findings():
    text = Page(write(make_record())).text
    assert text.index("Robustness: LTR (−10.0 points") < text.index("Leaderboard")


def test_a_floor_is_called_a_floor():
    text = Page(write(make_record(classes=1))).text
    assert "A floor. Under attack the dense network is not above chance" in text
    assert "A floor." not in Page(write(make_record())).text


def test_only_what_was_measured_is_explained_and_limited():
    full = describe_robustness(make_record(), data="digits", model="resnet20")
    assert [word for word, _ in full["words"]][:4] == ["Robust accuracy", "eps", "Median least eps", "mCE"]
    assert full["limits"][0].startswith("One seed (0), one training of each network.")
    assert any("That is a floor" in sentence for sentence in full["limits"])
    assert any("like those of CIFAR-10-C" in sentence for sentence in full["limits"])
    rows = [row for row in make_record()["rows"] if row["family"] == "calibration"]
    some = describe_robustness(make_record(rows=rows, corruptions=None), data="digits", model="resnet20")
    assert [word for word, _ in some["words"]] == ["ECE", "NLL"]
    assert len(some["limits"]) == 1
    assert (some["headline"], some["comparisons"], some["strangers"]) == (None, [], [])


def test_a_family_that_was_left_out_has_no_figure():
    rows = [row for row in make_record()["rows"] if row["family"] == "calibration"]
    text = write(make_record(rows=rows, corruptions=None), drawn=True)
    assert re.findall(r'data-figure="(\w+)"', text) == ["robustness_heatmap", "reliability"]
    assert "None" not in Page(text).text


def test_published_rows_stand_beside_ours_and_are_marked_as_theirs():
    text = Page(write(make_full_record(), "torchvision:CIFAR10", "resnet18")).text
    assert "Theirs are not measured here: arXiv 2409.01249" in text
    assert "LTR this run 90.0% 97.2% 81.5% 76.0 to 86.9% 200" in text
    assert "Li20 (LTH) theirs 99% 59.42% 31.37% 10,000" in text
    assert "Its rows for structured pruning: not known here." in text
    assert "adversarial pruning benchmark" not in Page(write(make_full_record())).text


def test_a_run_without_their_eps_has_no_row_beside_theirs_and_unknown_rows_are_admitted():
    rows = [row for row in make_record()["rows"] if row["setting"] != "Linf eps 8/255"]
    text = Page(write(make_record(rows=rows), "torchvision:CIFAR10", "resnet18")).text
    assert "This run has no robust accuracy at that eps." in text
    assert "this run" not in text.partition("Beside the adversarial")[2].partition("What the words")[0]
    unknown = Page(write(make_record(), "torchvision:SVHN", "vgg16")).text
    assert "The benchmark has rows for this network on these images: not known here." in unknown
    assert "theirs" not in unknown


def test_one_network_alone_has_a_section():
    record = make_record(networks=[name_network("dense")])
    text = Page(write(record)).text
    assert "Dense network 90.0%" in text
    assert "Against the dense parent" not in text


def test_hostile_names_do_not_become_markup():
    name = f"m{HOSTILE}"
    rows = make_rows(
        name,
        share("adversarial", "Linf eps 8/255", "robust_accuracy", 0.5),
        share("corruption", f"{HOSTILE} 1", "accuracy", 0.5),
        share("corruption", HOSTILE, "accuracy", 0.5),
        share("out_of_distribution", f"{HOSTILE} energy", "auroc", 0.5),
        share("comparison", HOSTILE, "difference", 0.5),
        share("comparison", HOSTILE, "holm_p", 0.001),
    )
    record = make_record(
        networks=[name_network(name)],
        rows=rows,
        corruptions=HOSTILE,
        reliability={name: make_record()["reliability"]["ltr"]},
        checks=[make_check(name, passed=False, sentence=HOSTILE) | {"check": HOSTILE}],
    )
    page = Page(write(record, "torchvision:CIFAR10", "resnet18", drawn=True))
    assert [tag for tag, _ in page.tags].count("img") == 0
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    assert [tag for tag, _ in page.tags].count("script") == 3 + 4
    assert HOSTILE in page.text
