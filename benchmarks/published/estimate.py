"""How long the rows will take: from the seconds of an epoch that were measured, or else assumed."""

from statistics import median
from typing import Any

from benchmarks.published.plan import Row, count_epochs
from benchmarks.published.settings import Setting

# Seconds of an epoch where no row tells them: guesses, to be read as such.
ASSUMED_SECONDS = {"cuda": 0.3, "mps": 10.0, "cpu": 50.0}  # 50,000 images of 32x32 pixels
ASSUMED_SMALLEST = 0.4
PARTS = ("search", "train")


def measure_rates(setting: Setting, rows: list[dict[str, Any]], kind: str) -> tuple[dict[str, float], bool]:
    """Return the seconds of an epoch of each part of a row.

    Args:
        setting: of the rows.
        rows: those that are there.
        kind: of the device.

    Returns:
        Medians over the rows that have the part, ladders' searches aside, which are trainings of other rows;
        whether all parts were measured.
    """
    assumed = ASSUMED_SECONDS[kind] if setting.digits is None else ASSUMED_SMALLEST
    rates = dict.fromkeys(PARTS, assumed)
    measured = set()
    for part in PARTS:
        found = [
            row["measured"][f"{part}_seconds"] / row[f"{part}_epochs"]
            for row in rows
            if row.get(f"{part}_epochs", 0) >= 1 and (part == "train" or row["method"].startswith("cts"))
        ]
        if found:
            rates[part] = median(found)
            measured.add(part)
    return rates, measured == set(PARTS)


def estimate_seconds(setting: Setting, row: Row, rates: dict[str, float]) -> float:
    """Return the seconds that a row will take beyond what it needs."""
    epochs = count_epochs(setting, row)
    return sum(epochs[part] * rates[part] for part in PARTS)


def describe_plan(
    setting: Setting, rows: list[Row], finished: set[Row], rates: dict[str, float], *, measured: bool
) -> str:
    """Lay out all rows in their order: what is there, epochs, minutes of each and of all up to it."""
    lines = [f"{'row':32} {'state':8} {'epochs':>8} {'minutes':>8} {'in all':>8}"]
    total_epochs = total_seconds = 0.0
    for row in rows:
        if row in finished:
            lines.append(f"{row.name:32} {'done':8}")
            continue
        epochs = sum(count_epochs(setting, row).values())
        seconds = estimate_seconds(setting, row, rates)
        total_epochs, total_seconds = total_epochs + epochs, total_seconds + seconds
        lines.append(
            f"{row.name:32} {'missing':8} {epochs:8.1f} {seconds / 60:8.2f} {total_seconds / 60:8.1f}"
        )
    source = "measured" if measured else "partly or wholly assumed"
    lines.append(
        f"{len(rows) - len(finished)} rows are missing: {total_epochs:.0f} epochs, about "
        f"{total_seconds / 60:.0f} minutes at {rates['train']:.3f} s an epoch of training and "
        f"{rates['search']:.3f} s an epoch's worth of search ({source})."
    )
    return "\n".join(lines)
