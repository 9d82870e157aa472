"""Faults in the configuration, one sentence each."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError


def name_unknown_key(name: str, known: Mapping[str, Any]) -> str:
    """Say that a key is unknown, what is allowed, and what may have been meant."""
    close = difflib.get_close_matches(name.rsplit(".", 1)[-1], known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"Parameter {name} is unknown: allowed are {', '.join(sorted(known))}{hint}"


def describe_faults(name: str, group: Any, error: ValidationError) -> Iterator[str]:
    """Yield one sentence for each fault that pydantic found in a group."""
    faults = error.errors(include_url=False)
    for fault in faults:
        inside = [other for other in faults if other["loc"][: len(fault["loc"])] == fault["loc"]]
        if fault["type"] == "too_short" and len(inside) > 1:
            continue  # empty only because its faulty entries are left out; each has its own sentence
        path = ".".join([name, *map(str, fault["loc"])])
        if fault["type"] == "extra_forbidden":
            yield name_unknown_key(path, _fields_at(group, fault["loc"]))
        elif fault["type"] == "missing":
            yield f"Parameter {path} is missing."
        elif fault["type"] == "value_error":
            # Raised by our own checks, which name the value and what is allowed.
            yield f"Parameter {path}: {fault['ctx']['error']}."
        else:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            yield f"Parameter {path} is {fault['input']!r}: {message}."


def _fields_at(group: Any, location: tuple[int | str, ...]) -> Mapping[str, Any]:
    """Return the fields of the model that should have the last key of ``location``."""
    for key in location[:-1]:
        group = group.model_fields[str(key)].annotation
    return {field.alias or name: field for name, field in group.model_fields.items()}
