"""Cells of a CSV file that a spreadsheet would take for a formula: they are written as text.

An apostrophe in front says so, as in the spreadsheet itself. Reading takes it away again, and every text
comes back as it was.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

# Some programs strip quotes and spaces first, and take full-width signs, too.
_FORMULA = re.compile(r"""['"]*(?:['"\s]*[=+\-@＝＋－＠]|[\t\r\n])""")


def protect(cell: Any) -> Any:
    """Return a cell to be written: a text that looks like a formula gets an apostrophe, all else stays."""
    return f"'{cell}" if isinstance(cell, str) and _looks_like_formula(cell) else cell


def restore(cell: Any) -> Any:
    """Return a cell that was read as ``protect`` was given it."""
    protected = isinstance(cell, str) and cell.startswith("'") and _looks_like_formula(cell[1:])
    return cell[1:] if protected else cell


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


def _looks_like_formula(text: str) -> bool:
    if not _FORMULA.match(text):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return text[0].isspace()
