"""Faults that pydantic finds, in our words: what is wrong, where, and what is allowed."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from lottery_pipeline.options.allowed import describe_type, find_type, name_fields
from lottery_pipeline.options.lists import list_members

_LONGEST_SHOWN = 100
# What a value must be, by the type of the fault; for places whose type says nothing better.
_WANTED: dict[str, tuple[str, ...]] = {
    "a group of keys": (
        *("model_type", "model_attributes_type", "dataclass_type", "dataclass_exact_type", "dict_type"),
        *("frozen_dict_type", "ordered_dict_type", "counter_type", "mapping_type", "named_tuple_type"),
        *("arguments_type", "no_such_attribute", "get_attribute_error"),
    ),
    "a list": (
        *("list_type", "tuple_type", "set_type", "frozen_set_type", "deque_type", "iterable_type"),
        *("iteration_error", "set_item_not_hashable"),
    ),
    "text": (
        "string_type",
        "string_unicode",
        "string_sub_type",
        "bytes_type",
        "bytes_invalid_encoding",
        "json_type",
    ),
    "plain text, without accents or signs": ("string_not_ascii",),
    "a name": ("invalid_key",),
    "true or false": ("bool_type", "bool_parsing"),
    "a whole number": ("int_type", "int_parsing", "int_from_float", "int_parsing_size"),
    "a number": (
        *("float_type", "float_parsing", "decimal_type", "decimal_parsing", "fraction_type"),
        *("fraction_parsing", "complex_type", "complex_str_parsing"),
    ),
    "a finite number": ("finite_number",),
    "null": ("none_required",),
    "a date, such as 2026-01-31": (
        *("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
    ),
    "a date in the past": ("date_past", "datetime_past"),
    "a date in the future": ("date_future", "datetime_future"),
    "a time, such as 12:00:00": ("time_type", "time_parsing"),
    "a time, such as 2026-01-31T12:00:00Z": (
        *("datetime_type", "datetime_parsing", "datetime_object_invalid", "datetime_from_date_parsing"),
    ),
    "a time without a time zone": ("timezone_naive",),
    "a time with a time zone": ("timezone_aware", "timezone_offset"),
    "a length of time, such as PT1H": ("time_delta_type", "time_delta_parsing"),
    "an address, such as https://example.org": ("url_type", "url_parsing", "url_syntax_violation"),
    "a UUID": ("uuid_type", "uuid_parsing", "uuid_version"),
    "given once": ("multiple_argument_values",),
    "one of the forms that are allowed here": ("union_tag_invalid", "union_tag_not_found"),
    "greater than {gt}": ("greater_than",),
    "at least {ge}": ("greater_than_equal",),
    "less than {lt}": ("less_than",),
    "at most {le}": ("less_than_equal",),
    "a multiple of {multiple_of}": ("multiple_of",),
    "at least {min_length} long": ("too_short", "string_too_short", "bytes_too_short"),
    "at most {max_length} long": ("too_long", "string_too_long", "bytes_too_long", "url_too_long"),
    "of the form {pattern}": ("string_pattern_mismatch",),
    "{expected}": ("enum", "literal_error"),
    "an address that begins with {expected_schemes}": ("url_scheme",),
    "a number of at most {max_digits} digits": ("decimal_max_digits",),
    "a number of at most {decimal_places} decimal places": ("decimal_max_places",),
    "a number of at most {whole_digits} digits before the point": ("decimal_whole_digits",),
    "of another kind": (
        *("is_instance_of", "is_subclass_of", "callable_type", "needs_python_object"),
        *("missing_sentinel_error", "ellipsis_error", "default_factory_not_called"),
    ),
    "left as it is": ("frozen_field", "frozen_instance"),
    "less deeply nested": ("recursion_loop", "recursion_depth_exceeded"),
}
_WORDS = {kind: wanted for wanted, kinds in _WANTED.items() for kind in kinds}
_MISSING = (
    *("missing", "missing_argument", "missing_keyword_only_argument", "missing_positional_only_argument"),
)
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument", "unexpected_positional_argument")
_OWN = ("value_error", "assertion_error")  # raised by our checks, which name the value and what is allowed


def word_fault(fault: Mapping[str, Any], kind: Any = None) -> str:
    """Say what is wrong, as the rest of a sentence that begins with the place: ``is 0: it must be ...``.

    Args:
        fault: as pydantic lists it.
        kind: type of the value, if it is known; its words come first.
    """
    name, context = fault["type"], fault.get("ctx", {})
    if name in _MISSING:
        return " is missing"
    if name in _UNKNOWN:
        return " is unknown"
    if name in _OWN:
        return f": {context['error']}"
    if name == "json_invalid":
        return f" is not JSON ({context['error']})"
    wanted = _WORDS.get(name, "of another kind").format(**context)
    if kind is not None:
        known = describe_type(kind)
        wanted = known.replace("a number", "a finite number", 1) if name == "finite_number" else known
    return f" is {show_value(fault.get('input'))}: it must be {wanted}"


def show_value(value: object) -> str:
    """Show a value as a configuration has it; what is long, or from a stranger, is cut and kept plain."""
    words = {"None": "null", "True": "true", "False": "false"}
    shown = words.get(str(value), "") if value is None or isinstance(value, bool) else ascii(value)
    if isinstance(value, str) and value.isprintable():
        shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def name_unknown_key(name: str, known: Mapping[str, Any]) -> str:
    """Say that a key is unknown, what is allowed, and what may have been meant."""
    return f"Parameter {name}{_say_unknown(name.rsplit('.', 1)[-1], known)}"


def describe_faults(name: str, group: Any, error: ValidationError) -> Iterator[str]:
    """Yield one sentence for each fault that pydantic found in a group of parameters."""
    for place, words in _list_faults(group, error):
        yield f"Parameter {'.'.join([name, *place])}{words}"


def describe_file_fault(model: Any, error: ValidationError) -> str:
    """Return the first fault that pydantic found in the content of a file, without a full stop."""
    keys, words = next(_list_faults(model, error))
    place = ascii(".".join(keys))[1:-1][:_LONGEST_SHOWN]
    if not place and not words.startswith(":"):
        place = "it"
    return f"{place}{words}".removeprefix(": ").removesuffix(
        "."
    )  # a check of the whole names the field itself


def _list_faults(group: Any, error: ValidationError) -> Iterator[tuple[list[str], str]]:
    """Yield place and words of each fault; a value with several kinds that are allowed gets one sentence."""
    faults = error.errors(include_url=False)
    told = set()
    for fault in faults:
        keys, kind = _follow(group, fault["loc"])
        inside = [other for other in faults if other["loc"][: len(fault["loc"])] == fault["loc"]]
        # A list may be too short only because its faulty entries are left out; each has its own sentence.
        if tuple(keys) in told or (fault["type"] == "too_short" and len(inside) > 1):
            continue
        place = list(map(str, keys))
        if fault["type"] in _UNKNOWN:
            yield place, _say_unknown(place[-1], name_fields(_follow(group, keys[:-1])[1]))
            continue
        if fault["type"] not in _OWN:
            told.add(tuple(keys))
        words = word_fault(fault, kind)
        yield place, words if words.endswith("?") else f"{words.removesuffix('.')}."


def _say_unknown(key: str, known: Mapping[str, Any]) -> str:
    if not known:
        return " is unknown."
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f" is unknown: allowed are {', '.join(sorted(known))}{hint}"


def _follow(kind: Any, steps: tuple[int | str, ...] | list[int | str]) -> tuple[list[int | str], Any]:
    """Return the keys that a user has written, and the type of what is there; None if nobody knows it.

    Where several kinds of value are allowed, the next step is pydantic's name of one of them. The path ends
    there, and the sentence speaks of all of them.
    """
    keys: list[int | str] = []
    for step in steps:
        if kind is not None and len([part for part in list_members(kind) if part is not type(None)]) > 1:
            break
        keys.append(step)
        kind = None if kind is None else find_type(kind, step)
    return keys, kind
