"""What a field of a model allows, in words: from its type and its bounds, never from pydantic's messages."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from lottery_pipeline.options.lists import list_members

_LARGEST_SHOWN = 10**9
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    datetime: "a time with a time zone, such as 2026-01-31T12:00:00Z",
    NoneType: "null",
}
_PATTERNS = {
    "^[0-9a-f]{64}$": "64 hexadecimal digits in lower case",
    "^[ -~]{1,256}$": "1 to 256 plain characters",
    "^[a-z][a-z0-9_]{0,63}$": "a name of at most 64 letters, digits and _ in lower case, with a letter first",
}


def annotate(field: FieldInfo) -> Any:
    """Return the type of a field together with its bounds."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def describe_type(kind: Any) -> str:
    """Say what a type allows, such as ``a number greater than 0 and at most 1, or null``."""
    members = [member for member in _bounded_members(kind) if member[0] is not NoneType]
    words = [_describe_member(member, bounds) for member, bounds in members]
    if len(members) < len(list(list_members(kind))):
        words.append(_WORDS[NoneType])
    if len(words) == 1 or not any(mark in word for word in words for mark in (", ", " or ", " and ")):
        return " or ".join(words)
    return f"{', '.join(words[:-1])}, or {words[-1]}"


def find_type(kind: Any, step: int | str) -> Any:
    """Return the type of an entry of a group, list or dict; None if the type has no such entry."""
    for member in list_members(kind):
        if isinstance(member, type) and issubclass(member, BaseModel):
            fields = name_fields(member)
            return annotate(fields[str(step)]) if step in fields else None
        origin, kinds = get_origin(member), get_args(member)
        if origin is dict:
            return kinds[1]
        if origin in (list, tuple) and isinstance(step, int):
            fixed = origin is tuple and kinds[-1] is not Ellipsis
            return kinds[min(step, len(kinds) - 1)] if fixed else kinds[0]
    return None


def name_fields(group: Any) -> dict[str, FieldInfo]:
    """Return the fields of a group by the name that is written; none if it is not a group."""
    for member in list_members(group):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return {field.alias or name: field for name, field in member.model_fields.items()}
    return {}


def _bounded_members(kind: Any, bounds: Sequence[Any] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the types that a type allows, each with its bounds."""
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        yield from _bounded_members(inner, (*more, *bounds))
    elif len(members := [kind] if get_origin(kind) in (dict, list, tuple) else _parts(kind)) > 1:
        for member in members:
            yield from _bounded_members(member, bounds)
    else:
        flat = [extra for bound in bounds for extra in getattr(bound, "metadata", None) or [bound]]
        yield kind, tuple(flat)


def _parts(kind: Any) -> list[Any]:
    is_union = get_origin(kind) is not Literal and len(list(list_members(kind))) > 1
    return list(get_args(kind)) if is_union else [kind]


def _describe_member(kind: Any, bounds: tuple[Any, ...]) -> str:
    origin, kinds = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _list_words([_show(value) for value in kinds])
    if origin is dict:
        entry = "" if kinds[1] is Any else f" with values that are each {describe_type(kinds[1])}"
        return f"a group of keys{entry}"
    if origin in (list, tuple):
        if origin is tuple and kinds[-1] is not Ellipsis:
            return f"a list of {len(kinds)} entries, {'; '.join(map(describe_type, kinds))}"
        count = _count(bounds, "entries")
        return f"a list{count}, each {'' if count else 'entry '}{describe_type(kinds[0])}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"a group of keys ({', '.join(name_fields(kind))})"
    for bound in bounds:
        pattern = bound.pattern if isinstance(bound, StringConstraints) else getattr(bound, "pattern", None)
        if pattern:
            return _PATTERNS.get(str(pattern), f"text of the form {pattern}")
    if kind is str:
        return f"text{_count(bounds, 'characters')}"
    return f"{_WORDS.get(kind, 'a value of another kind')}{_range(bounds)}"


def _list_words(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _show(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _count(bounds: tuple[Any, ...], what: str) -> str:
    least = max((getattr(bound, "min_length", None) or 0 for bound in bounds), default=0)
    most = min((bound.max_length for bound in bounds if getattr(bound, "max_length", None)), default=None)
    if most is not None:
        return f" of {least} to {_number(most)} {what}" if least else f" of at most {_number(most)} {what}"
    one = {"entries": "entry", "characters": "character"}[what]
    return f" of at least {least} {one if least == 1 else what}" if least else ""


def _range(bounds: tuple[Any, ...]) -> str:
    given = [(name, getattr(bound, name, None)) for bound in bounds for name in ("ge", "gt", "le", "lt")]
    limits = {name: limit for name, limit in given if limit is not None}
    if "gt" in limits and limits["gt"] >= limits.get("ge", limits["gt"]):
        limits.pop("ge", None)
    if {"ge", "le"} <= limits.keys():
        return f" from {_number(limits['ge'])} to {_number(limits['le'])}"
    words = {"gt": "greater than", "ge": "of at least", "lt": "less than", "le": "at most"}
    parts = [f"{words[name]} {_number(limits[name])}" for name in words if name in limits]
    return f" {' and '.join(parts)}" if parts else ""


def _number(value: float) -> str:
    if value > _LARGEST_SHOWN and value == 2 ** (int(value).bit_length() - 1):
        return f"2^{int(value).bit_length() - 1}"
    return f"{value:,}"
