"""The JSON that is signed: one text per value, and only values that every language reads alike.

Objects, lists, strings and integers of at most 53 bits; keys sorted, no blanks, UTF-8. For these values, and
ASCII keys, the text is that of RFC 8785 (JSON Canonicalization Scheme). Floats, null and booleans are left
out: no field needs them, and number formats are where implementations differ.
"""

import json
import re
from typing import Any, NoReturn

from lottery_pipeline.ownership.errors import OwnershipError

MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1  # what a double holds exactly, so what every reader of JSON agrees on

# A whole string, or one bracket. The closing quote is optional and the loop possessive, so that a text of
# many open quotes takes linear time.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(value: object) -> bytes:
    """Write a value as its one JSON text.

    Args:
        value: objects (``dict`` with string keys), lists or tuples, strings and integers.

    Raises:
        OwnershipError: a value of another type, an integer beyond 53 bits, or a string with a surrogate.
    """
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def decode(content: bytes, *, most: int) -> Any:
    """Read JSON of strangers, in any layout.

    Args:
        content: the text.
        most: bytes allowed.

    Raises:
        OwnershipError: it is too long, nested deeper than ``MAX_DEPTH``, not valid JSON in UTF-8, repeats a
            key, or holds a value that ``encode`` would not write.
    """
    if len(content) > most:
        raise OwnershipError(f"the JSON has more than {most} bytes")
    _check_depth(content)
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
    except OwnershipError:
        raise
    except ValueError as error:  # of the decoder: its message may quote the content
        raise OwnershipError(f"it is not valid JSON in UTF-8 ({type(error).__name__})") from error
    _check(value)
    return value


def decode_canonical(content: bytes, *, most: int) -> Any:
    """Read JSON as ``decode`` does, and refuse every text but the one that ``encode`` writes.

    Raises:
        OwnershipError: as ``decode``, or the text is not canonical.
    """
    value = decode(content, most=most)
    if encode(value) != content:
        raise OwnershipError("the JSON is not canonical: keys sorted, no blanks, no needless escapes")
    return value


def _check_depth(content: bytes) -> None:
    depth = 0
    for token in _TOKEN.finditer(content):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise OwnershipError(f"the JSON is nested deeper than {MAX_DEPTH} levels")
        elif token[0] in (b"]", b"}"):
            depth -= 1


def _check(value: object) -> None:
    match value:
        case dict():
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise OwnershipError("a key of the JSON is not a string")
                _check(key)
                _check(inner)
        case list() | tuple():
            for inner in value:
                _check(inner)
        case str():
            if _SURROGATE.search(value):
                raise OwnershipError("a string of the JSON holds half a surrogate pair")
        case int() if type(value) is int:
            if abs(value) > MAX_INTEGER:
                raise OwnershipError("an integer of the JSON has more than 53 bits")
        case _:
            raise OwnershipError("the JSON holds a value other than objects, lists, strings and integers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise OwnershipError("a key of the JSON appears twice")
    return values


def _integer(digits: str) -> int:
    if len(digits) > len(str(-MAX_INTEGER)):  # before the conversion, whose time grows faster than its input
        raise OwnershipError("an integer of the JSON has more than 53 bits")
    return int(digits)


def _refuse(number: str) -> NoReturn:
    kind = "a fraction or an exponent" if number[-1].isdigit() else "NaN or an infinity"
    raise OwnershipError(f"a number of the JSON is {kind}; only integers are allowed")
