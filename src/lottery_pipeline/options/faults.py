"""Faults in the configuration, one sentence each."""

import difflib
import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

# What pydantic calls a kind of value where several are allowed; a user has not written it.
_KIND = re.compile(r"constrained-\w+|[\w-]+\[.*\]|int|float|bool|str")


def name_unknown_key(name: str, known: Mapping[str, Any]) -> str:
    """Say that a key is unknown, what is allowed, and what may have been meant."""
    close = difflib.get_close_matches(name.rsplit(".", 1)[-1], known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"Parameter {name} is unknown: allowed are {', '.join(sorted(known))}{hint}"


def describe_faults(name: str, group: Any, error: ValidationError) -> Iterator[str]:
    """Yield one sentence for each fault that pydantic found in a group."""
    faults = error.errors(include_url=False)
    wrong: dict[str, list[str]] = {}  # by value, what each kind that is allowed there asks for
    for fault in faults:
        inside = [other for other in faults if other["loc"][: len(fault["loc"])] == fault["loc"]]
        if fault["type"] == "too_short" and len(inside) > 1:
            continue  # empty only because its faulty entries are left out; each has its own sentence
        keys = [key for key in fault["loc"] if isinstance(key, int) or not _KIND.fullmatch(key)]
        path = ".".join([name, *map(str, keys)])
        if fault["type"] == "extra_forbidden":
            yield name_unknown_key(path, _fields_at(group, keys[:-1]))
        elif fault["type"] == "missing":
            yield f"Parameter {path} is missing."
        elif fault["type"] == "value_error":
            # Raised by our own checks, which name the value and what is allowed.
            yield f"Parameter {path}: {fault['ctx']['error']}."
        else:
            value = f"Parameter {path} is {fault['input']!r}"
            wrong.setdefault(value, []).append(_say_what_is_allowed(group, keys, fault))
    for value, wanted in wrong.items():
        yield f"{value}: {', or '.join(wanted)}."


def _say_what_is_allowed(group: Any, keys: list[int | str], fault: Mapping[str, Any]) -> str:
    if fault["type"] in ("tuple_type", "list_type"):
        return "it must be a list"
    if fault["type"] in ("model_type", "dict_type"):
        field = _fields_at(group, keys[:-1]).get(str(keys[-1])) if keys else None
        null = field is not None and NoneType in get_args(field.annotation)
        return f"it must be a group of keys{' or null' if null else ''}"
    return str(fault["msg"][0].lower() + fault["msg"][1:])


def _fields_at(group: Any, keys: list[int | str]) -> Mapping[str, Any]:
    """Return the fields of the model that these keys lead to; none if they lead to no model."""
    fields = _name_fields(group)
    for key in keys:
        if isinstance(key, str):  # a number is a place in a list, whose model _find_group has returned
            fields = _name_fields(_find_group(fields[key].annotation)) if key in fields else {}
    return fields


def _name_fields(group: Any) -> Mapping[str, Any]:
    fields = getattr(group, "model_fields", {})
    return {field.alias or name: field for name, field in fields.items()}


def _find_group(annotation: Any) -> Any:
    """Return the model that a field holds, also where it may be null instead or where there is a list."""
    kinds = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return kinds[0] if kinds else annotation
