"""Faults in the configuration, in words."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lottery_pipeline.options.faults import describe_faults


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate: float = Field(gt=0)


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner
    kept: int = Field(1, alias="keep")
    parts: tuple[Inner, ...] = ()
    spare: Inner | None = None
    side: Literal["auto"] | float = "auto"


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
        "Parameter group.kept is unknown: allowed are inner, keep, parts, side, spare; did you mean keep?"
    ]


def test_an_unknown_key_in_a_list_names_its_place() -> None:
    assert find_faults(inner={"rate": 1}, parts=[{"rate": 1}, {"rate": 1, "rats": 2}]) == [
        "Parameter group.parts.1.rats is unknown: allowed are rate; did you mean rate?"
    ]


def test_what_must_be_a_list_or_a_group_is_said_in_the_words_of_the_configuration() -> None:
    assert find_faults(inner={"rate": 1}, parts=3) == ["Parameter group.parts is 3: it must be a list."]
    assert find_faults(inner=False) == ["Parameter group.inner is False: it must be a group of keys."]
    assert find_faults(inner={"rate": 1}, spare="off") == [
        "Parameter group.spare is 'off': it must be a group of keys or null."
    ]


def test_a_value_that_is_none_of_several_kinds_gets_one_sentence_without_their_inner_names() -> None:
    assert find_faults(inner={"rate": 1}, side="x") == [
        (
            "Parameter group.side is 'x': input should be 'auto', or input should be a valid number, "
            "unable to parse string as a number."
        )
    ]
