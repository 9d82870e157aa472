"""Records whose measured numbers stand apart."""

from lottery_pipeline.reproducibility.measured import flatten_record, set_apart

FLAT = {
    "epochs": 3.0,
    "seconds": 2.5,
    "note": "seconds",
    "layers": [{"layer": "conv", "kept": 3}],
    "rounds": [{"name": "first", "seconds": 1.5}, {"name": "second"}],
    "empty": [],
}
APART = {
    "epochs": 3.0,
    "note": "seconds",
    "layers": [{"layer": "conv", "kept": 3}],
    "rounds": [{"name": "first"}, {"name": "second"}],
    "empty": [],
    "measured": {"seconds": 2.5, "rounds": [{"seconds": 1.5}, {}]},
}


def test_values_and_columns_of_these_names_go_into_one_field_and_come_back():
    assert set_apart(FLAT, {"seconds"}) == APART
    assert flatten_record(APART) == FLAT


def test_a_flat_record_stays_as_it_is():
    assert flatten_record(FLAT) == FLAT


def test_neither_function_changes_what_it_is_given():
    record = set_apart(FLAT, {"seconds"})
    flatten_record(record)["rounds"][0]["name"] = "changed"
    assert record == APART
