import json

import pytest

from lottery_pipeline.costs.ledger import Ledger, training_macs


def imp_ledger(rounds):
    ledger, macs = Ledger(), training_macs(10.0, 100, 7)
    for number in range(rounds):
        ledger = ledger.add("search", f"round_{number:02}", epochs=10.0, seconds=3.0, macs=macs)
    return ledger.add("training", "retraining", epochs=10.0, seconds=3.0, macs=macs)


def test_search_and_training_sum_to_the_total():
    ledger = imp_ledger(2)
    stages = [ledger.total(stage) for stage in ("parents", "search", "training")]
    assert tuple(map(sum, zip(*stages, strict=True))) == ledger.total() == (30.0, 9.0, 3 * 7_000)
    assert ledger.total("search") == (20.0, 6.0, 14_000)


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_imp_costs_a_training_more_than_it_has_rounds(rounds):
    ledger = imp_ledger(rounds)
    assert ledger.count("search", "training") == rounds + 1
    assert ledger.total().epochs == 10 * (rounds + 1)


def test_a_method_that_starts_from_a_dense_run_has_it_among_its_parents():
    ledger = Ledger().add("parents", "dense run", epochs=10, seconds=3, macs=7_000)
    ledger = ledger.add("search", "snip", epochs=0.1, seconds=0.2, macs=70)
    assert ledger.total("parents") == (10.0, 3.0, 7_000)
    assert ledger.total().epochs == 10.1


def test_a_ledger_stays_as_it_is_when_something_is_added():
    empty = Ledger()
    assert len(empty.add("search", "cts", epochs=1, seconds=1, macs=1).entries) == 1
    assert empty.total() == (0.0, 0.0, 0)


def test_macs_of_a_training_are_epochs_times_images_times_macs_of_an_image():
    assert training_macs(0.125, 80, 3) == 30


def test_the_record_is_plain_json():
    rows = json.loads(json.dumps(imp_ledger(1).record()))
    assert rows[0] == {"stage": "search", "name": "round_00", "epochs": 10.0, "seconds": 3.0, "macs": 7_000}
    assert [row["stage"] for row in rows] == ["search", "training"]


def test_an_unknown_stage_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'tuning' is not a stage .* parents, search, training$"):
        Ledger().add("tuning", "sweep", epochs=1, seconds=1, macs=1)


@pytest.mark.parametrize("wrong", [{"epochs": -1}, {"seconds": float("nan")}, {"macs": -5}])
def test_a_negative_cost_is_refused(wrong):
    with pytest.raises(ValueError, match=r"cts: .* must be 0 or more"):
        Ledger().add("search", "cts", **{"epochs": 1.0, "seconds": 1.0, "macs": 1, **wrong})
