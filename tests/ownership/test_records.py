import pytest

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.records import LayerName, ModelName, Owner, Record, Sha256, parse_record


class Example(Record):
    owner: Owner
    model: ModelName = "m"
    layers: tuple[LayerName, ...] = ()
    digest: Sha256 = "0" * 64


def test_a_record_reads_lists_as_tuples():
    assert parse_record(Example, {"owner": "Zoë", "layers": ["a"]}, what="example").layers == ("a",)


@pytest.mark.parametrize(
    "change",
    [
        {"owner": ""},
        {"owner": "a" * 201},
        {"owner": " a"},
        {"owner": "a\n"},
        {"owner": "a\u202eb"},
        {"owner": "a\x00"},
        {"owner": 1},
        {"model": "a" * 257},
        {"layers": [""]},
        {"layers": ["ä"]},
        {"layers": ["a\n"]},
        {"layers": ["a" * 257]},
        {"layers": "a"},
        {"digest": "0" * 63},
        {"digest": "0" * 65},
        {"digest": "0" * 64 + "\n"},
        {"digest": "A" * 64},
        {"other": 1},
    ],
)
def test_a_field_that_is_wrong_or_unknown_is_named(change):
    with pytest.raises(OwnershipError, match=rf"^the example is wrong: {next(iter(change))}") as caught:
        parse_record(Example, {"owner": "a"} | change, what="example")
    assert "\n" not in str(caught.value)


def test_a_record_that_is_not_an_object_is_refused():
    with pytest.raises(OwnershipError, match="the example is wrong"):
        parse_record(Example, ["a"], what="example")
