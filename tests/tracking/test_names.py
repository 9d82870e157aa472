"""Names and values that MLflow takes."""

import pytest
from mlflow.utils.validation import _validate_param, _validate_tag

from lottery_pipeline.tracking.names import clean_name, clean_names, clean_tags


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("extraction.density", "extraction.density"),
        ("training/train loss", "training/train loss"),
        ("Gewicht-ü.重み", "Gewicht-ü.重み"),
        ("extraction.layer_rates.fc[12]*", "extraction.layer_rates.fc_12__"),
        ("extraction.layer_rates.0: fc1", "extraction.layer_rates.0: fc1"),
        ("a//b/", "a/b"),
        ("/etc/passwd", "etc/passwd"),
        ("../../x", "__/__/x"),
        ("a/./b", "a/_/b"),
        ("", "_"),
        ("...", "___"),
        ("a\nb\tc", "a_b_c"),
        ("\ud800", "_"),
    ],
)
def test_a_name_is_kept_where_mlflow_takes_it_and_else_made_one_that_it_takes(name: str, clean: str) -> None:
    assert clean_name(name) == clean
    _validate_param(clean, "value")


def test_a_long_name_is_cut_and_keeps_apart_from_others_of_the_same_beginning() -> None:
    first, second = clean_name("x" * 600), clean_name("x" * 599)
    assert len(first) == len(second) == 250
    assert first != second
    assert first.startswith("x" * 200)


def test_names_that_would_become_the_same_keep_apart_and_the_one_that_is_clean_keeps_its_name() -> None:
    cleaned = clean_names({"fc[1]": "0.1", "fc(1)": "0.2", "fc_1_": "0.3", "conv": "0.4"})
    assert (cleaned["fc_1_"], cleaned["conv"]) == ("0.3", "0.4")
    assert sorted(cleaned.values()) == ["0.1", "0.2", "0.3", "0.4"]
    assert cleaned == clean_names({"conv": "0.4", "fc_1_": "0.3", "fc(1)": "0.2", "fc[1]": "0.1"})


def test_a_long_value_is_cut_with_a_mark() -> None:
    (parameter,) = clean_names({"a": "x" * 7000}).values()
    assert parameter.endswith("x ... (cut, 7,000 characters in all)")
    _validate_param("a", parameter)
    (tag,) = clean_tags({"a": "x" * 9000}).values()
    assert tag.endswith("x ... (cut, 9,000 characters in all)")
    _validate_tag("a", tag)
