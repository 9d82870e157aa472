"""Settings, distances and intervals of the robustness evaluation in words."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from html import escape

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.robustness_record import Key, Network, Row, list_eps, value_of

SCORES = {"msp": "largest probability", "max_logit": "largest logit", "energy": "energy"}
COMPARED = {"clean": "clean images", "mean corruption": "corrupted images, mean"}
LEAST_P = 0.001
NAMED = 3  # things in a list; the others are counted


def label_setting(name: str) -> str:
    """Name a corruption or a set of strangers for people; of a folder only its last part."""
    kind, _, rest = name.partition(":")
    short = rest.rstrip("/").rpartition("/")[2] if kind in ("torchvision", "folder") and rest else name
    return short.replace("_", " ")


def label_compared(setting: str) -> str:
    """Name what two networks were compared on."""
    return COMPARED.get(setting, setting)


def label_method(networks: Sequence[Network], method: str) -> str:
    """Name a network by its name in the rows; one that is not among them keeps it."""
    return next((network.look.label for network in networks if network.method == method), method)


def wrap_label(label: str, letters: int) -> str:
    """Break a label between its words, escaped for plotly."""
    return "<br>".join(escape(line) for line in textwrap.wrap(label, letters))


def count_things(number: int, noun: str) -> str:
    """Print a number with its noun: '1 check', '3 checks'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def join_words(words: Sequence[str]) -> str:
    """Join words as in a sentence: 'a, b, c and 2 more'."""
    if len(words) > NAMED + 1:
        words = [*words[:NAMED], f"{len(words) - NAMED} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def print_interval(row: Row | None) -> str:
    """Print the interval of a fraction, ``95.2 to 98.3%``; nothing if there is none."""
    low, high = value_of(row, "low"), value_of(row, "high")
    return "" if low is None or high is None else f"{100 * low:.1f} to {fmt.percent(high)}"


def describe_interval(row: Row | None, confidence: float) -> list[str]:
    """Return lines of a hover: the interval and the number of images, as far as they are known."""
    interval = print_interval(row)
    lines = [f"{fmt.density(confidence)} interval {interval}"] if interval else []
    if row is not None and not fmt.is_missing(row.get("n")):
        lines.append(f"{fmt.whole(row['n'])} images")
    return lines


def print_eps(value: float, norm: str) -> str:
    """Print a distance in steps of 8-bit images for Linf, 0.0314 -> '8/255', and as it is for L2."""
    if value == 0 or norm != "Linf":
        return write_number(value, 3)
    return f"{write_number(255 * value, 3)}/255"


def print_median(rows: Mapping[Key, Row], method: str, norm: str) -> str:
    """Print the median of the least eps at which an image is fooled.

    Returns:
        ``above`` and the largest eps tried if more than half of the images stand there.
    """
    row = rows.get((method, "adversarial", norm, "median_eps"))
    return fmt.DASH if row is None else _print_bound(rows, method, norm, value_of(row))


def print_median_interval(rows: Mapping[Key, Row], method: str, norm: str) -> str:
    """Print the interval of the median; nothing if neither of its bounds is known."""
    row = rows.get((method, "adversarial", norm, "median_eps"))
    low, high = value_of(row, "low"), value_of(row, "high")
    if low is None:
        return ""
    start = print_eps(low, norm)
    return f"{start.removesuffix('/255') if high else start} to {_print_bound(rows, method, norm, high)}"


def print_p(value: float | None) -> str:
    """Print a p value: '0.034', '<0.001'."""
    if value is None:
        return fmt.DASH
    return f"<{LEAST_P}" if value < LEAST_P else f"{value:.3f}"


def print_number(value: float | None) -> str:
    """Print a loss with three significant digits."""
    return fmt.DASH if value is None or not math.isfinite(value) else write_number(value, 3)


def _print_bound(rows: Mapping[Key, Row], method: str, norm: str, value: float | None) -> str:
    if value is not None:
        return print_eps(value, norm)
    tried = list_eps({"rows": [row for key, row in rows.items() if key[0] == method]})
    return f"above {print_eps(max(tried.values()), norm)}" if tried else fmt.DASH
