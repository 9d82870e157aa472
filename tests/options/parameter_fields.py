"""Every field of every parameter group, as dotted paths."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from lottery_pipeline.options.allowed import annotate, name_fields
from lottery_pipeline.options.lists import list_members
from lottery_pipeline.parameters import GROUPS


def find_models(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in a type, also those in lists and dicts."""
    for member in list_members(kind):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member
        else:
            for inner in get_args(member):
                yield from find_models(inner)


def walk(kind: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the type of every field below a type."""
    for model in find_models(kind):
        for name, field in name_fields(model).items():
            yield f"{path}.{name}", annotate(field)
            yield from walk(annotate(field), f"{path}.{name}")


FIELDS = [(path, kind) for name, group in GROUPS.items() for path, kind in walk(group, name)]
