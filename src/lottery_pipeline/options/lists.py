"""Options that are lists: how to write them on a command line; repeats are refused."""

import re
from typing import TypeVar

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

T = TypeVar("T")
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def split_words(value: object) -> object:
    """Read "cts snip" or 3 as a list: on the command line a comma ends a parameter."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if isinstance(value, str):
        return [int(word) if _WHOLE.fullmatch(word) else word for word in value.split()]
    return value


def refuse_repeats(values: tuple[T, ...], info: ValidationInfo) -> tuple[T, ...]:
    """Return a list if it names nothing twice.

    Raises:
        ValueError: it names a value twice; one sentence.
    """
    if len(set(values)) != len(values):
        raise ValueError(f"{info.field_name} must not name the same value twice, but is {list(values)}")
    return values


FROM_WORDS = BeforeValidator(split_words)
DISTINCT = AfterValidator(refuse_repeats)
