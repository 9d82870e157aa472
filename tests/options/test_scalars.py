"""Values that stand alone: what they may be."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lottery_pipeline.options.scalars import Device, LeftOutBlocks, Seed, Threads, Variant


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Device, "cuda:1"),
        (Seed, 2**63 - 1),
        (Threads, None),
        (Variant, "lr=0.1_b-2"),
        (LeftOutBlocks, ("grasp", "layer_cts", "signature_embedding")),
    ],
)
def test_what_is_allowed_stays_as_it_is(kind: Any, value: Any) -> None:
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Device, "cuda:", "'cuda:' is not a valid device; allowed are auto, cpu, cuda, cuda:<index> and mps"),
        (Seed, 2**63, "less than 9223372036854775808"),
        (Threads, 0, "greater than or equal to 1"),
        (Variant, "..", "cannot be the name of a folder here"),
        (Variant, "a/b", "cannot be the name of a folder here"),
        (Variant, "v" * 101, "cannot be the name of a folder here"),
        (LeftOutBlocks, ("reporting",), "'reporting' cannot be left out; allowed are lth, ltr, cts"),
        (LeftOutBlocks, ("cts", "cts"), "cts"),
    ],
)
def test_what_is_not_allowed_is_named(kind: Any, value: Any, words: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        TypeAdapter(kind).validate_python(value)
    assert words in str(refusal.value)
