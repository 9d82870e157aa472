"""What the robustness evaluation shows, in at most two sentences that claim no more than it can support."""

from collections.abc import Mapping, Sequence
from typing import Literal

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.findings import Finding
from lottery_pipeline.reporting.robustness_record import (
    CONFIDENCE,
    Network,
    Record,
    index_rows,
    is_floor,
    list_networks,
    value_of,
)
from lottery_pipeline.reporting.robustness_words import count_things, join_words, label_compared, label_method

Pairs = Sequence[tuple[str, str]]  # network and setting


def find_robustness(record: Record) -> list[Finding]:
    """Say in at most two sentences what the evaluation shows.

    The first names the tickets that differ from their dense parents on changed images after Holm's
    correction, or says that none does, or that the dense network is at chance itself; the second says which
    checks of the evaluation failed.
    """
    rows, networks = index_rows(record), list_networks(record)
    tested = [key for key, row in rows.items() if key[3] == "holm_p" and value_of(row) is not None]
    changed = [(method, setting) for method, _, setting, _ in tested if setting != "clean"]
    found = []
    if differences := _find_differences(record, changed):
        found.append(_name_differences(networks, differences, len(tested)))
    elif changed:
        found.append(_admit_nothing(record, changed, len(tested)))
    failed = [check for check in record.get("checks") or () if check["passed"] is False]
    if failed:
        names = list(dict.fromkeys(label_method(networks, str(check["method"])) for check in failed))
        text = (
            f"{count_things(len(failed), 'check')} of the robustness evaluation failed "
            f"({join_words(names)}): those numbers need care."
        )
        found.append(Finding("bad", text))
    return found


def _find_differences(record: Record, changed: Pairs) -> dict[str, list[tuple[float, str]]]:
    """Return the differences that stand after Holm's correction, with their settings, by network."""
    rows, alpha = index_rows(record), 1 - record.get("confidence", CONFIDENCE)
    found: dict[str, list[tuple[float, str]]] = {}
    for method, setting in changed:
        p = value_of(rows.get((method, "comparison", setting, "holm_p")))
        value = value_of(rows.get((method, "comparison", setting, "difference")))
        if p is not None and p < alpha and value is not None:
            found.setdefault(method, []).append((value, setting))
    return found


def _admit_nothing(record: Record, changed: Pairs, tested: int) -> Finding:
    parents = {network.method: network.reference for network in list_networks(record)}
    above = [setting for method, setting in changed if not is_floor(record, parents.get(method, ""), setting)]
    settings = [label_compared(setting) for setting in dict.fromkeys(setting for _, setting in changed)]
    if not above:
        text = (
            f"Robustness: the dense network is not above chance ({join_words(settings)}), so this run cannot "
            "tell whether a ticket is more or less robust."
        )
        return Finding("note", text)
    text = (
        f"Robustness: no ticket differs from its dense parent ({join_words(settings)}) after Holm's "
        f"correction for {count_things(tested, 'comparison')}. That does not show that they are equal."
    )
    return Finding("even", text)


def _name_differences(
    networks: Sequence[Network], differences: Mapping[str, list[tuple[float, str]]], tested: int
) -> Finding:
    values = [value for pairs in differences.values() for value, _ in pairs]
    said = []
    for method, pairs in differences.items():
        value, setting = max(pairs, key=lambda pair: abs(pair[0]))
        more = f" and {len(pairs) - 1} more" if len(pairs) > 1 else ""
        where = f"{fmt.points(value)} points, {label_compared(setting)}{more}"
        said.append(f"{label_method(networks, method)} ({where})")
    verb = "differs from its dense parent" if len(said) == 1 else "differ from their dense parents"
    correction = f"after Holm's correction for {count_things(tested, 'comparison')}"
    text = f"Robustness: {join_words(said)} {verb} {correction}."
    tone: Literal["good", "even", "bad"] = "bad" if max(values) < 0 else "good" if min(values) > 0 else "even"
    return Finding(tone, text)
