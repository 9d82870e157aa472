"""Numbers as people read them. Every function accepts None and NaN and prints a dash for them."""

import math
from typing import Any

from lottery_pipeline.options.numerals import write_number

DASH = "–"
NARROW_SPACE = "\u202f"
MINUS = "\u2212"


def is_missing(value: Any) -> bool:
    """Tell whether there is no number: None, NaN or pandas' NA."""
    if value is None:
        return True
    try:
        return math.isnan(value)
    except TypeError:
        return not isinstance(value, str)


def is_there(value: Any) -> bool:
    """Tell whether there is a number."""
    return not is_missing(value)


def percent(fraction: Any, digits: int = 1) -> str:
    """0.9712 -> '97.1%'."""
    return DASH if is_missing(fraction) else f"{100 * fraction:.{digits}f}%"


def density(fraction: Any) -> str:
    """Print a density with three significant digits, without trailing zeros: 0.0073 -> '0.73%'."""
    if is_missing(fraction):
        return DASH
    shown = 100 * float(fraction)
    digits = 0 if shown <= 0 else max(0, 2 - math.floor(math.log10(shown)))
    text = f"{shown:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def points(difference: Any, digits: int = 1) -> str:
    """Print a difference of two fractions in percentage points, always with its sign: -0.006 -> '−0.6'."""
    if is_missing(difference):
        return DASH
    text = f"{100 * abs(difference):.{digits}f}"
    if float(text) == 0:
        return f"±{text}"
    return (MINUS if difference < 0 else "+") + text


def whole(number: Any) -> str:
    """270896 -> '270,896'."""
    return DASH if is_missing(number) else f"{round(number):,}"


def number(value: Any, digits: int = 3) -> str:
    """Print any number with significant digits: 1437.2 -> '1,437', 0.0123456 -> '0.0123'."""
    return DASH if is_missing(value) else write_number(value, digits)


def epochs(number: Any) -> str:
    """12.0 -> '12'; 4.25 -> '4.2'."""
    return DASH if is_missing(number) else f"{number:,.1f}".removesuffix(".0")


def duration(seconds: Any) -> str:
    """0.42 -> '0.4 s'; 75 -> '1.2 min'; 8000 -> '2 h 13 min'."""
    if is_missing(seconds):
        return DASH
    if seconds < 59.5:
        return f"{seconds:.{1 if seconds < 9.95 else 0}f}{NARROW_SPACE}s"
    if seconds < 59.5 * 60:
        return f"{seconds / 60:.1f}{NARROW_SPACE}min"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,}{NARROW_SPACE}h {minutes % 60:02d}{NARROW_SPACE}min"


def quantity(number: Any) -> str:
    """Print a large count with three significant digits and a prefix: 41_000_000 -> '41.0 M'."""
    return _scale(number, 1000, ("", "k", "M", "G", "T", "P"))


def size(number: Any) -> str:
    """Print bytes: 34816 -> '34.8 kB' (1 kB = 1000 bytes)."""
    return _scale(number, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))


def short_fingerprint(value: Any) -> str:
    """Give the first ten characters, enough to tell the artefacts of one project apart."""
    return value[:10] if isinstance(value, str) and value else DASH


def _scale(number: Any, base: int, units: tuple[str, ...]) -> str:
    if is_missing(number):
        return DASH
    scaled, step = float(number), 0
    while scaled >= 999.5 and step < len(units) - 1:
        scaled, step = scaled / base, step + 1
    digits = 0 if step == 0 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    return f"{scaled:.{digits}f}{NARROW_SPACE}{units[step]}".rstrip(NARROW_SPACE)


def ratio(value: Any) -> str:
    """Print a ratio: 1.523 -> '1.52'."""
    return DASH if is_missing(value) else f"{value:.2f}"
