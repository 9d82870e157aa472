import pytest

from lottery_pipeline.reporting.palette import DENSE_COLOUR, LOOKS
from lottery_pipeline.reporting.robustness_record import (
    Headline,
    choose_headline,
    choose_score,
    index_rows,
    list_bins,
    list_corruptions,
    list_eps,
    list_networks,
    list_new_sets,
    list_strangers,
    name_norm,
    value_of,
)
from lottery_pipeline.robustness.rows import make_row
from tests.reporting.robustness_records import (
    make_bin,
    make_full_record,
    make_record,
    make_rows,
    name_network,
)


def make_curve(*values, setting="Linf eps {}/255"):
    """Robust accuracy of the dense network at 1, 2, 4 ... steps, with a lower bound a point below."""
    rows = [
        make_row("adversarial", setting.format(2**place), "robust_accuracy", value, low=value - 0.01)
        for place, value in enumerate(values)
    ]
    return {"networks": [name_network("dense")], "rows": make_rows("dense", *rows)}


def test_dense_networks_are_grey_and_a_dense_parent_is_named_by_its_ticket():
    looks = {network.method: network.look for network in list_networks(make_full_record())}
    assert (looks["dense"].label, looks["dense"].colour) == ("Dense network", DENSE_COLOUR)
    assert (looks["supertickets_dense"].label, looks["supertickets_dense"].colour) == (
        "Dense, of SuperTickets",
        DENSE_COLOUR,
    )
    assert looks["ltr"] == LOOKS["ltr"]
    assert looks["layer_cts"].label == "Layer > CTS"
    assert looks["signature_embedding"].label == "Signed ticket"


def test_distances_ascend_whatever_the_order_of_the_rows_and_way_they_are_written():
    rows = [
        make_row("adversarial", setting, "robust_accuracy", 0.5)
        for setting in ("Linf eps 8/255", "Linf eps 0.25/255", "Linf eps 0.0314159", "nonsense", "Linf eps x")
    ]
    record = {"rows": make_rows("dense", *rows)}
    assert list_eps(record) == pytest.approx(
        {"Linf eps 0.25/255": 0.25 / 255, "Linf eps 8/255": 8 / 255, "Linf eps 0.0314159": 0.0314159}
    )
    assert list(list_eps(record)) == ["Linf eps 0.25/255", "Linf eps 8/255", "Linf eps 0.0314159"]


def test_only_one_norm_lies_on_the_axis():
    rows = [make_row("adversarial", f"{norm} eps 0.5", "robust_accuracy", 0.5) for norm in ("L2", "Linf")]
    assert list(list_eps({"rows": make_rows("dense", *rows)})) == ["L2 eps 0.5"]
    assert name_norm({"rows": make_rows("dense", *rows)}) == "L2"
    assert name_norm({"rows": []}) == "Linf"


def test_the_headline_is_the_largest_eps_asked_for_at_which_dense_is_above_chance():
    record = make_curve(0.9, 0.5, 0.105, 0.02) | {"classes": 10}
    # At 4/255 the lower bound, 9.5%, is below the chance of 10%.
    assert choose_headline(record) == Headline("Linf eps 2/255", is_floor=False)
    assert choose_headline(record | {"classes": 20}) == Headline("Linf eps 4/255", is_floor=False)
    assert choose_headline(record | {"eps": [1 / 255]}) == Headline("Linf eps 1/255", is_floor=False)


def test_without_the_number_of_classes_anything_above_zero_counts():
    record = make_curve(0.9, 0.5, 0.105, 0.005)
    assert choose_headline(record) == Headline("Linf eps 4/255", is_floor=False)


def test_where_dense_is_at_chance_everywhere_the_headline_is_a_floor():
    record = make_curve(0.1, 0.05) | {"classes": 10}
    assert choose_headline(record) == Headline("Linf eps 1/255", is_floor=True)
    assert choose_headline({"rows": [], "networks": []}) is None


def test_a_corruption_is_known_by_its_severities_and_other_test_sets_are_not():
    rows = [
        make_row("corruption", setting, "accuracy", 0.5)
        for setting in ("clean", "fog 1", "fog 5", "fog", "contrast 3", "cifar10.1", "mean")
    ]
    record = {"rows": make_rows("dense", *rows)}
    assert list_corruptions(record) == ["fog", "contrast"]
    assert list_new_sets(record) == ["cifar10.1"]


def test_strangers_have_a_set_and_a_score_and_energy_is_the_headline():
    rows = [
        make_row("out_of_distribution", setting, "auroc", 0.9)
        for setting in ("noise msp", "noise energy", "folder:/my pictures msp")
    ]
    found = list_strangers({"rows": make_rows("dense", *rows)})
    assert found == {"noise": ["msp", "energy"], "folder:/my pictures": ["msp"]}
    assert [choose_score(scores) for scores in found.values()] == ["energy", "msp"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_not_a_finite_number_is_missing(value):
    assert value_of(make_row("check", "", "", value)) is None
    assert value_of(None) is None
    assert value_of(make_row("check", "", "", 1)) == 1.0


def test_only_bins_with_images_of_the_network_as_trained_are_shown():
    full, empty = make_bin(0.5, 1.0, 3, 0.9, 0.8), make_bin(0.0, 0.5, 0, None, None)
    scaled = {**full, "setting": "temperature scaled"}
    edges = {"from": 0.5, "to": 1.0, "count": 3, "accuracy": 0.8, "confidence": 0.9, "setting": "as trained"}
    record = {"reliability": {"ltr": [empty, full, scaled], "cts": [edges]}}
    assert list_bins(record, "ltr") == [full]
    (other,) = list_bins(record, "cts")
    assert (other["low"], other["high"]) == (0.5, 1.0)
    assert list_bins(record, "snip") == []


def test_rows_are_found_by_method_family_setting_and_metric():
    row = index_rows(make_record())["ltr", "adversarial", "Linf eps 8/255", "robust_accuracy"]
    assert row["value"] == 0.1
