import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.ownership.canonical_json import MAX_INTEGER, decode, decode_canonical, encode
from lottery_pipeline.ownership.errors import OwnershipError

KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5)
VALUES = st.recursive(
    st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def test_a_value_by_hand():
    assert encode({"b": [1, -2], "a": {"ü": 'a"\n'}}) == '{"a":{"ü":"a\\"\\n"},"b":[1,-2]}'.encode()


@given(VALUES)
def test_the_text_is_that_of_rfc_8785_and_reads_back(value):
    assert encode(value) == rfc8785.dumps(value)
    assert decode_canonical(encode(value), most=10_000) == value


@given(VALUES)
def test_any_layout_is_read_but_only_one_is_canonical(value):
    loose = json.dumps(value, indent=1).encode()

    assert decode(loose, most=10_000) == value
    if loose != encode(value):
        with pytest.raises(OwnershipError, match="not canonical"):
            decode_canonical(loose, most=10_000)


@pytest.mark.parametrize("value", [1.0, None, True, {1: 2}, {"a": {3}}, MAX_INTEGER + 1, "\ud800", b"bytes"])
def test_values_that_implementations_read_differently_are_not_written(value):
    with pytest.raises(OwnershipError):
        encode({"value": value})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b'{"a":1', "not valid JSON"),
        (b'{"a":1}}', "not valid JSON"),
        (b'\xef\xbb\xbf{"a":1}', "not valid JSON"),
        (b'{"a":"\xff"}', "not valid JSON"),
        (b'{"a":01}', "not valid JSON"),
        (b'{"a":"\n"}', "not valid JSON"),
        ('{"a":1}'.encode("utf-16"), "not valid JSON"),
        (b'{"a":1,"a":1}', "twice"),
        (b'{"a":1,"\\u0061":2}', "twice"),
        (b'{"a":1.0}', "a fraction"),
        (b'{"a":1e2}', "a fraction or an exponent"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "infinity"),
        (b'{"a":true}', "other than"),
        (b"null", "other than"),
        (b'{"a":9007199254740992}', "53 bits"),
        (b'{"a":' + b"9" * 50_000 + b"}", "53 bits"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b"[" * 17 + b"]" * 17, "deeper than 16"),
        (b"[" * 60_000, "deeper than 16"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "deeper than 16"),
        (b" " * 100_001, "more than 100000 bytes"),
    ],
)
def test_bad_json_ends_in_one_sentence(content, reason):
    with pytest.raises(OwnershipError, match=reason):
        decode(content, most=100_000)


def test_depth_counts_brackets_outside_strings_only():
    text = "[" * 40 + '\\"'
    assert decode(encode([text, "}" * 40]), most=1000) == [text, "}" * 40]
    assert decode(b"[" * 16 + b"]" * 16, most=1000) != []


@pytest.mark.timeout(5)
def test_many_open_quotes_take_linear_time():
    with pytest.raises(OwnershipError):
        decode(b'"' + b'\\"' * 500_000, most=2**20)
