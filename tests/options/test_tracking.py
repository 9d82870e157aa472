"""Options of what is left in MLflow."""

import pytest
from pydantic import ValidationError

from lottery_pipeline.options.tracking import TrackingParameters


def test_a_registered_model_has_a_name_without_blanks_around_it() -> None:
    assert TrackingParameters.model_validate({"register": " my model "}).register_as == "my model"
    assert TrackingParameters().register_as is None


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a:b", "x" * 251])
def test_a_name_that_mlflow_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="allowed are 1 to 250 characters other than / and :"):
        TrackingParameters.model_validate({"register": name})
