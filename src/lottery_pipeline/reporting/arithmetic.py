"""Which results of a report were computed how: rows of different arithmetic differ by rounding alone."""

from collections.abc import Mapping
from typing import Any


def list_arithmetic(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Put the arithmetic of records into words.

    Args:
        records: by block; those of older versions do not say it.

    Returns:
        The words by the names of the blocks, those of equal arithmetic together.
    """
    blocks: dict[str, list[str]] = {}
    for block, record in records.items():
        found = record.get("arithmetic") or (record.get("metrics") or {}).get("arithmetic") or {}
        words = ", ".join(f"{name}: {value}" for name, value in found.items()) or "not recorded"
        blocks.setdefault(words, []).append(block)
    return {", ".join(names): words for words, names in blocks.items()}
