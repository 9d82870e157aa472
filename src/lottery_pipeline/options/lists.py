"""Groups of parameters, and how lists are written on a command line: ``fc conv1`` for ``[fc, conv1]``."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

T = TypeVar("T")
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_PAIR = re.compile(r"\s*([^\s=:,]+)\s*[=:]\s*([^\s=:,]+)\s*,?")
_MAY_HAVE_BLANKS = object()
# In a list that is written as one, an entry of this type may have blanks: a path, for example.
TextWithBlanks = Annotated[str, _MAY_HAVE_BLANKS]


class Group(BaseModel):
    """A group of parameters. Unknown keys are refused, and every list in it may be written as words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        kinds = {key: field.annotation for key, field in cls.model_fields.items()}
        kinds |= {field.alias: field.annotation for field in cls.model_fields.values() if field.alias}
        return {key: read_lists(kinds[key], value) if key in kinds else value for key, value in given.items()}


def list_members(kind: Any) -> Iterator[Any]:
    """Yield the types that a type allows, without what is said about them: ``float`` and ``None``."""
    if get_origin(kind) is Annotated:
        yield from list_members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from list_members(member)
    else:
        yield kind


def read_lists(kind: Any, value: Any) -> Any:
    """Return a value with a list, or a dict, wherever its type has one and words or a single value are given.

    Args:
        kind: type of the value.
        value: as configuration or command line have it. Words are divided by blanks or commas, and may stand
            in brackets. A dict may be written as ``fc=0.1 conv1=0.2``. Nothing is an empty list.

    Returns:
        The value; what cannot be read is returned as it is, to be refused by the type.
    """
    members = list(list_members(kind))
    lists = [member for member in members if get_origin(member) in (list, tuple)]
    tables = [member for member in members if get_origin(member) is dict]
    if value is None:
        return value if NoneType in members or not (lists or tables) else ([] if lists else {})
    if isinstance(value, str) and any(_takes(member, value) for member in members):
        return value
    if lists and not isinstance(value, Mapping):
        return _read_list(lists[0], value)
    if tables:
        return _read_table(get_args(tables[0])[1], value)
    return value


def _takes(member: Any, word: str) -> bool:
    """Whether a word is a value of its own, such as ``all`` where a list may stand too."""
    return member is str or (get_origin(member) is Literal and word in get_args(member))


def _read_list(kind: Any, value: Any) -> Any:
    of_any_length = get_origin(kind) is list or get_args(kind)[-1] is Ellipsis
    kinds = get_args(kind)[:1] if of_any_length else get_args(kind)
    if isinstance(value, str):
        value = _split(value)
    elif isinstance(value, bool) or not isinstance(value, int | float | Path | Sequence):
        return value
    elif not isinstance(value, Sequence):
        value = [value]
    elif of_any_length and not _may_have_blanks(kinds[0]):
        value = [word for entry in value for word in (_split(entry) if isinstance(entry, str) else [entry])]
    return [_read_entry(kinds[min(place, len(kinds) - 1)], entry) for place, entry in enumerate(value)]


def _split(text: str) -> list[Any]:
    text = text.strip()
    if text[:1] + text[-1:] in ("[]", "()"):
        try:
            return list(json.loads(f"[{text[1:-1]}]"))
        except ValueError:
            text = text[1:-1]
    return [word for word in re.split(r"[\s,]+", text) if word]


def _may_have_blanks(kind: Any) -> bool:
    nested = any(get_origin(member) in (list, tuple) for member in list_members(kind))
    return kind is Path or nested or _MAY_HAVE_BLANKS in getattr(kind, "__metadata__", ())


def _read_entry(kind: Any, entry: Any) -> Any:
    entry = read_lists(kind, entry)
    members = {
        type(value)
        for member in list_members(kind)
        for value in (get_args(member) if get_origin(member) is Literal else ())
    } | {member for member in list_members(kind) if isinstance(member, type)}
    if isinstance(entry, str) and str not in members:
        if members & {int, float} and _WHOLE.fullmatch(entry):
            return int(entry)
        if float in members and _NUMBER.fullmatch(entry):
            return float(entry)
    if str in members and type(entry) is int:  # the name of a layer may be a number
        return str(entry)
    return entry


def _read_table(kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    if isinstance(value, str):
        text = value.strip().removeprefix("{").removesuffix("}")
        if _PAIR.sub("", text).strip():
            return value
        value = dict(_PAIR.findall(text))
    if not isinstance(value, Mapping):
        return value
    return {key: _read_entry(kind, entry) for key, entry in _flatten(kind, value)}


def _flatten(kind: Any, table: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the entries of a table; on a command line the dots in the name of a layer have nested it."""
    nests = any(get_origin(member) is dict for member in list_members(kind))
    for key, entry in table.items():
        if isinstance(entry, Mapping) and not nests:
            yield from ((f"{key}.{rest}", value) for rest, value in _flatten(kind, entry))
        else:
            yield str(key) if type(key) is int else key, entry


def refuse_repeats(values: tuple[T, ...], info: ValidationInfo) -> tuple[T, ...]:
    """Return a list if it names nothing twice.

    Raises:
        ValueError: it names a value twice; one sentence.
    """
    if len(set(values)) != len(values):
        raise ValueError(f"{info.field_name} must not name the same value twice, but is {list(values)}")
    return values


DISTINCT = AfterValidator(refuse_repeats)
