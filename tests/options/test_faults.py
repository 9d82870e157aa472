"""Faults in the configuration, in words."""

import itertools
import re
from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import core_schema
from pydantic_core._pydantic_core import list_all_errors

from lottery_pipeline.options.allowed import describe_type
from lottery_pipeline.options.faults import (
    _MISSING,
    _OWN,
    _UNKNOWN,
    _WORDS,
    describe_faults,
    describe_file_fault,
    word_fault,
)
from lottery_pipeline.parameters import GROUPS
from tests.options.parameter_fields import FIELDS


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
        "Parameter group.inner.rate is 0: it must be a number greater than 0."
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
    assert find_faults(inner={"rate": 1}, parts=3) == [
        "Parameter group.parts is 3: it must be a list, each entry a group of keys (rate)."
    ]
    assert find_faults(inner=False) == ["Parameter group.inner is false: it must be a group of keys (rate)."]
    assert find_faults(inner={"rate": 1}, spare="off") == [
        "Parameter group.spare is 'off': it must be a group of keys (rate) or null."
    ]


def test_a_value_that_is_none_of_several_kinds_gets_one_sentence_without_their_inner_names() -> None:
    assert find_faults(inner={"rate": 1}, side="x") == [
        "Parameter group.side is 'x': it must be auto or a number."
    ]


JARGON = re.compile(
    r"\bshould\b|Input|input should|Extra |permitted|instance of|dictionary|\btuple|discriminator|\bctx\b"
    r"|type=|required|Value error|be a valid|pydantic|\bNone\b|literal\[|constrained"
)
WRONG: list[Any] = [
    *(None, True, -1, 0, 10**30, 1.5, float("nan"), float("inf"), "", "zzz", "1,zzz", b"\xff"),
    *([], ["zzz"], [[1]], [True], {"zzz": 1}, {1: "zzz"}, (3, 3, 3, 3)),
]


@pytest.mark.parametrize("kind", list_all_errors(), ids=lambda kind: kind["type"])
def test_every_fault_that_pydantic_knows_has_our_words(kind: dict[str, Any]) -> None:
    assert kind["type"] in get_args(core_schema.ErrorType)
    context = {"error": "x is 3"} if kind["type"] in _OWN else kind["example_context"] or {}
    sentence = word_fault({"type": kind["type"], "input": 3, "ctx": context})
    assert not JARGON.search(sentence)
    assert "{" not in sentence
    assert kind["type"] in _WORDS or kind["type"] in (*_MISSING, *_UNKNOWN, *_OWN, "json_invalid")


@pytest.mark.parametrize("name", GROUPS)
def test_every_wrong_value_of_every_field_is_refused_without_jargon(name: str) -> None:
    adapter = TypeAdapter(GROUPS[name])
    paths = [name, *(path for path, _ in FIELDS if path.startswith(f"{name}."))]
    for path, value in itertools.product(paths, WRONG):
        given = value
        for key in reversed(path.split(".")[1:]):
            given = {key: given}
        try:
            adapter.validate_python(given)
        except ValidationError as error:
            for sentence in describe_faults(name, GROUPS[name], error):
                assert re.fullmatch(rf"Parameter {name}[.:\w ].+[.?]", sentence, re.DOTALL), sentence
                assert not JARGON.search(sentence), sentence


def test_what_is_allowed_is_said_with_its_range() -> None:
    words = {path: describe_type(kind) for path, kind in FIELDS}
    assert words["ltr.extraction.density"] == "a number greater than 0 and at most 1, or null"
    assert words["retraining.batch_size"] == "a whole number from 2 to 1,048,576 or null"
    assert words["supertickets.extraction.search.rho"] == "auto or a number of at least 0"
    assert words["pretraining.milestones"] == "a list, each entry a number"
    assert words["pretraining.flip"] == "true or false"
    assert words["ltr.controls.rungs"] == "a list, each entry a whole number from -1 to 255"
    assert words["lth.extraction.layer_rates"] == (
        "a group of keys with values that are each a number of at least 0 and less than 1"
    )
    assert words["robustness_evaluation.adversarial.attacks"] == (
        "a list of at least 1 entry, each fgsm, pgd, fmn or autoattack"
    )
    assert words["pretraining.adversary"] == "a group of keys (kind, norm, eps, steps, step_size), or null"


def test_the_fault_of_a_file_is_one_sentence_with_its_place() -> None:
    def find_fault(content: str) -> str:
        with pytest.raises(ValidationError) as error:
            Group.model_validate_json(content)
        return describe_file_fault(Group, error.value)

    assert find_fault("{") == "it is not JSON (EOF while parsing an object at line 1 column 1)"
    shown = r"inner.rate is '\u202e': it must be a number greater than 0"
    assert find_fault('{"inner": {"rate": "\\u202e"}}') == shown
    assert find_fault('{"inner": {}}') == "inner.rate is missing"
    assert find_fault("[]") == "it is []: it must be a group of keys (inner, keep, parts, spare, side)"
    assert len(find_fault('{"inner": "%s"}' % ("x" * 10_000))) < 250
