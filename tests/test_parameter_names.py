"""Names among the parameters: only text is accepted, so that what was typed counts."""

from typing import Any

import pytest

from lottery_pipeline.parameter_names import NAMES, OPTIONAL_NAMES, check_names
from lottery_pipeline.parameters import ParametersError


@pytest.mark.parametrize("value", [0.1, 7, True, None, {"x": 1}])
@pytest.mark.parametrize("name", ["variant", "ticket", "suspect", "credential", "model.name"])
def test_a_name_that_is_not_text_is_refused_because_it_may_not_be_what_was_written(
    name: str, value: Any
) -> None:
    given = {"model": {"name": value}} if "." in name else {name: value}
    with pytest.raises(ParametersError, match=f"Parameter {name} is {value!r}, which is not text") as refusal:
        check_names(given)
    assert "\n" not in str(refusal.value)


def test_a_name_must_not_refer_to_another_parameter() -> None:
    with pytest.raises(ParametersError, match="must not refer"):
        check_names({"variant": "${seed}"})


def test_names_that_are_text_and_other_parameters_are_left_alone() -> None:
    check_names({"variant": "0.10", "data": {"root": None}, "tracking": {"register": None}, "seed": 3})
    assert {"variant", "model.name"} <= set(NAMES)
    assert OPTIONAL_NAMES == ("data.root", "model.weights", "tracking.register")
