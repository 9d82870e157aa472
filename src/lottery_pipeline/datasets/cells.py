"""Cells of a CSV file that a spreadsheet would take for a formula: they are written as text.

An apostrophe in front says so, as in the spreadsheet itself. Reading takes it away again, and every text
comes back as it was. In much of Europe spreadsheets divide at semicolons, whatever the file says: there,
"a;=1" is two cells.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

# Some programs strip quotes and spaces first, and take full-width signs, too.
_FORMULA = re.compile(r"""['"]*(?:['"\s]*[=+\-@＝＋－＠]|[\t\r\n])""")
# Where a program that does not divide at commas may begin a cell; to it, quotes inside a line are plain text.
_SEPARATOR = re.compile(r"([;\t\r\n])")


def protect(cell: Any) -> Any:
    """Return a cell to be written: a place where a formula may begin gets an apostrophe, all else stays."""
    if not isinstance(cell, str):
        return cell
    parts = _SEPARATOR.split(cell)
    parts[2::2] = map(_protect, parts[2::2])
    return _protect("".join(parts))


def restore(cell: Any) -> Any:
    """Return a cell that was read as ``protect`` was given it."""
    if not isinstance(cell, str):
        return cell
    parts = _SEPARATOR.split(_restore(cell))
    parts[2::2] = map(_restore, parts[2::2])
    return "".join(parts)


def protect_table(table: "pandas.DataFrame") -> "pandas.DataFrame":
    """Protect the texts and the column names of a table."""
    return _change(table, protect)


def restore_table(table: "pandas.DataFrame") -> "pandas.DataFrame":
    """Restore the texts and the column names of a table."""
    return _change(table, restore)


def _change(table: "pandas.DataFrame", change: Any) -> "pandas.DataFrame":
    from pandas.api.types import is_numeric_dtype

    texts = [name for name in table.columns if not is_numeric_dtype(table[name].dtype)]
    changed = {name: table[name].map(change, na_action="ignore") for name in texts}
    return table.assign(**changed).rename(columns=change)


def _protect(text: str) -> str:
    return f"'{text}" if _looks_like_formula(text) else text


def _restore(text: str) -> str:
    return text[1:] if text.startswith("'") and _looks_like_formula(text[1:]) else text


def _looks_like_formula(text: str) -> bool:
    if not _FORMULA.match(text):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return text[0].isspace()
