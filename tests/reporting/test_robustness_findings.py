from lottery_pipeline.reporting.findings import find
from lottery_pipeline.reporting.leaderboard import build_leaderboard
from lottery_pipeline.reporting.robustness_findings import find_robustness
from tests.reporting.records import make_metrics
from tests.reporting.robustness_records import (
    compare,
    make_check,
    make_full_record,
    make_record,
    name_network,
)


def make_comparisons(*comparisons):
    methods = dict.fromkeys(method for method, *_ in comparisons)
    rows = [
        row
        for method, setting, difference, holm in comparisons
        for row in compare(method, setting, difference, 0.01, p=holm / 2, holm=holm, shown=None)
    ]
    return make_record(networks=[name_network(name) for name in ("dense", *methods)], rows=rows)


def test_a_ticket_that_differs_after_holm_is_named_with_its_largest_difference():
    (finding,) = find_robustness(make_record())
    assert finding.tone == "bad"
    assert finding.text == (
        "Robustness: LTR (−10.0 points, Linf eps 8/255) differs from its dense parent after Holm's "
        "correction for 3 comparisons."
    )


def test_several_are_joined_and_those_beyond_three_are_counted():
    pairs = [(name, "mean corruption", -0.1, 0.01) for name in ("ltr", "lth", "cts", "snip", "grasp")]
    (finding,) = find_robustness(make_comparisons(*pairs, ("ltr", "Linf eps 1/255", -0.2, 0.01)))
    assert finding.text == (
        "Robustness: LTR (−20.0 points, Linf eps 1/255 and 1 more), LTH (−10.0 points, corrupted images, "
        "mean), CTS (−10.0 points, corrupted images, mean) and 2 more differ from their dense parents after "
        "Holm's correction for 6 comparisons."
    )


def test_where_none_differs_it_is_not_called_equal():
    (finding,) = find_robustness(make_comparisons(("ltr", "mean corruption", -0.1, 0.2)))
    assert finding.tone == "even"
    assert finding.text == (
        "Robustness: no ticket differs from its dense parent (corrupted images, mean) after Holm's "
        "correction for 1 comparison. That does not show that they are equal."
    )


def test_a_difference_on_clean_images_is_no_matter_of_robustness():
    assert find_robustness(make_comparisons(("ltr", "clean", -0.1, 0.001))) == []


def test_where_dense_is_at_chance_itself_nothing_is_concluded():
    level = compare("ltr", "Linf eps 8/255", 0.0, 0.01, p=1.0, holm=1.0, shown=1)
    rows = [row for row in make_record()["rows"] if row["family"] != "comparison"] + level
    (finding,) = find_robustness(make_record(rows=rows, classes=5))
    assert finding.tone == "note"
    assert finding.text == (
        "Robustness: the dense network is not above chance (Linf eps 8/255), so this run cannot tell whether "
        "a ticket is more or less robust."
    )
    assert "no ticket differs" in find_robustness(make_record(rows=rows))[0].text


def test_the_tone_follows_the_signs():
    better = ("ltr", "mean corruption", 0.1, 0.001)
    assert find_robustness(make_comparisons(better))[0].tone == "good"
    worse = ("cts", "mean corruption", -0.1, 0.001)
    assert find_robustness(make_comparisons(better, worse))[0].tone == "even"


def test_failed_checks_are_the_second_sentence():
    checks = [make_check("ltr", passed=False), make_check("dense", passed=True), make_check("?", passed=None)]
    _, finding = find_robustness(make_record(checks=checks))
    assert finding.tone == "bad"
    assert finding.text == ("1 check of the robustness evaluation failed (LTR): those numbers need care.")


def test_there_are_at_most_two_sentences_and_none_about_nothing():
    assert len(find_robustness(make_full_record())) == 1
    assert find_robustness({"networks": [], "rows": []}) == []


def test_they_stand_before_the_caution():
    others = find_robustness(make_record())
    found = find(build_leaderboard({"ltr": make_metrics()}), {}, {}, test_images=None, others=others)
    assert found.sentences[-2:-1] == others
    assert found.sentences[-1].text.startswith("One seed (0)")
    assert find(build_leaderboard({}), {}, {}, test_images=None, others=others).sentences == others
