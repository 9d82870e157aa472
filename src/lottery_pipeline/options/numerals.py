"""Numbers in print, as people write them: 1,437 and never 1.44e+03."""

import math

_LARGEST_IN_FULL = 15  # digits before the point
_SMALLEST_IN_FULL = -6  # power of ten of the first digit


def write_number(value: float, digits: int = 6) -> str:
    """Write a number with significant digits, thousands divided by commas, and no trailing zeros.

    No digit before the point is lost. Only what is smaller than a millionth, or has more than 15 digits, is
    written with a power of ten.

    Args:
        value: any number; those that are not finite are named.
        digits: significant digits, if there are fewer before the point.
    """
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}infinity"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if not _SMALLEST_IN_FULL <= int(exponent) < _LARGEST_IN_FULL:
        return f"{_strip(mantissa)}e{int(exponent)}"
    return _strip(f"{value:,.{max(0, digits - 1 - int(exponent))}f}")


def _strip(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
