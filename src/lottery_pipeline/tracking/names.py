"""Names and values that MLflow takes, made of any: it refuses a whole batch for one that it does not take."""

import posixpath
import re
from collections.abc import Mapping
from hashlib import sha256

LONGEST_NAME = 250
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000


def clean_name(name: str) -> str:
    """Return a name for a parameter, metric, tag or artifact: no path that leads elsewhere, and not too long.

    Letters and digits of every script, and ``_ - . : /`` and spaces stay.
    """
    cleaned = re.sub(r"[^\w. /:-]", "_", name)
    parts = [_clean_part(part) for part in cleaned.split("/")]
    cleaned = posixpath.normpath("/".join(part for part in parts if part) or "_")
    return cut(cleaned, LONGEST_NAME, f"-{_digest(name)}")


def clean_names(values: Mapping[str, str]) -> dict[str, str]:
    """Return values by clean names; names that would become the same keep apart by a digest."""
    cleaned: dict[str, str] = {name: value for name, value in values.items() if clean_name(name) == name}
    for name, value in values.items():
        if name not in cleaned:
            own = clean_name(name)
            mark = f"-{_digest(name)}"
            cleaned[own if own not in cleaned else own[: LONGEST_NAME - len(mark)] + mark] = value
    return {clean: _cut_value(value, LONGEST_PARAMETER) for clean, value in cleaned.items()}


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags by clean names, their values not too long."""
    return {clean_name(name): _cut_value(value, LONGEST_TAG) for name, value in tags.items()}


def cut(text: str, longest: int, mark: str) -> str:
    """Return a text that has at most so many characters; a mark tells where it was cut."""
    return text if len(text) <= longest else text[: longest - len(mark)] + mark


def _cut_value(value: str, longest: int) -> str:
    return cut(value, longest, f" ... (cut, {len(value):,} characters in all)")


def _clean_part(part: str) -> str:
    return re.sub(r"^\.+$", lambda dots: "_" * len(dots.group()), part)


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
