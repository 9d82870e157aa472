import pytest

from lottery_pipeline.ownership.attacks.attack import Attack, detects, reads_all, shows_all
from lottery_pipeline.ownership.attacks.grids import cross
from lottery_pipeline.ownership.attacks.victim import Victim

GOOD = {
    "detected": True,
    "decoded": True,
    "matches": 144,
    "counted": 144,
    "trigger_hits": 99,
    "trigger_counted": 100,
    "accuracy_drop": 0.002,
    "note": "",
}


def attack(**changes: object) -> Attack:
    return Attack(
        **{"id": "A1", "name": "n", "sentence": "s", "run": Victim.build, "pledge": "must", **changes}
    )


@pytest.mark.parametrize(
    ("changes", "outcome", "held"),
    [
        ({}, {}, True),
        ({}, {"detected": False}, False),
        ({"pledge": "report"}, {}, None),
        ({"pledge": "report"}, {"detected": False}, None),
        ({"covers": lambda point: point["share"] <= 0.2}, {"detected": False}, None),  # the point is 0.3
        ({"covers": lambda point: point["share"] <= 0.3}, {"detected": False}, False),
        ({}, {"note": "impossible on this network", "detected": False}, None),
        ({"budget": None}, {"accuracy_drop": 0.9, "detected": False}, False),
        ({"budget": 0.01}, {"accuracy_drop": 0.0101, "detected": False}, None),
        ({"budget": 0.01}, {"accuracy_drop": 0.01, "detected": False}, False),
        ({"budget": 0.05}, {"accuracy_drop": 0.0101, "detected": False}, False),
        ({"budget": 0.01}, {"accuracy_drop": None, "detected": False}, False),  # after a transfer
        ({"budget": 0.01}, {"accuracy_drop": -0.3}, True),
        ({"keeps": reads_all}, {}, True),
        ({"keeps": reads_all}, {"matches": 143}, False),
        ({"keeps": reads_all}, {"matches": 40, "counted": 40}, True),
        ({"keeps": reads_all}, {"detected": False}, False),
        ({"keeps": shows_all}, {}, True),
        ({"keeps": shows_all}, {"decoded": False}, False),
        ({"keeps": shows_all}, {"trigger_hits": 98}, False),
        ({"keeps": shows_all}, {"trigger_hits": None, "trigger_counted": None}, True),
        ({"keeps": shows_all}, {"trigger_hits": 0, "trigger_counted": 0}, True),
    ],
)
def test_a_promise_is_judged(changes, outcome, held):
    assert attack(**changes).judge({"share": 0.3}, GOOD | outcome) is held


def test_detection_is_a_bool_whatever_the_row_holds():
    assert detects({"detected": 1}) is True


def test_the_family_is_the_module_of_the_attack():
    assert attack().family == "victim"


def test_combinations_change_the_last_parameter_fastest():
    assert cross(a=(1, 2), b=("x", "y")) == (
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    )
