"""Faults in the configuration, in words."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lottery_pipeline.options.faults import describe_faults


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate: float = Field(gt=0)


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner
    kept: int = Field(1, alias="keep")


def find_faults(**values: object) -> list[str]:
    try:
        Group.model_validate(values)
    except ValidationError as error:
        return list(describe_faults("group", Group, error))
    return []


def test_a_sound_group_has_none() -> None:
    assert find_faults(inner={"rate": 0.5}, keep=2) == []


def test_each_fault_is_a_sentence_that_names_parameter_and_value() -> None:
    assert find_faults(inner={"rate": 0}) == [
        "Parameter group.inner.rate is 0: input should be greater than 0."
    ]
    assert find_faults() == ["Parameter group.inner is missing."]


def test_an_unknown_key_names_those_that_can_be_written_there() -> None:
    assert find_faults(inner={"rate": 1, "rat": 2}) == [
        "Parameter group.inner.rat is unknown: allowed are rate; did you mean rate?"
    ]
    assert find_faults(inner={"rate": 1}, kept=2) == [
        "Parameter group.kept is unknown: allowed are inner, keep; did you mean keep?"
    ]
