"""The rows of the tables on robustness, ready for the template."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.robustness_glossary import WORDS
from lottery_pipeline.reporting.robustness_heatmap import find_clean
from lottery_pipeline.reporting.robustness_record import (
    Headline,
    Key,
    Network,
    Record,
    Row,
    choose_headline,
    choose_score,
    index_rows,
    is_floor,
    list_networks,
    list_strangers,
    name_norm,
    value_of,
)
from lottery_pipeline.reporting.robustness_words import (
    SCORES,
    label_compared,
    label_setting,
    print_interval,
    print_median,
    print_median_interval,
    print_number,
    print_p,
)

Rows = Mapping[Key, Row]
Cell = tuple[str, str]  # what is printed, and what stands small below it
EMPTY: Cell = (fmt.DASH, "")
VERDICTS = {True: ("yes", "good"), False: ("no", "bad"), None: ("undecided", "note")}
ROUNDING = 1e-9
DETAILS = ("auroc", "aupr_ood_positive", "aupr_id_positive", "fpr95_ood_positive", "fpr95_id_positive")


@dataclass(frozen=True)
class Column:
    """A column of the summary: its heading, what it means, and what it prints of a network, by its name."""

    heading: str
    words: str
    print_cell: Callable[[str], Cell]


def describe_summary(record: Record) -> dict[str, Any]:
    """Summarise every network in one row.

    Args:
        record: of the robustness evaluation.

    Returns:
        ``columns``, pairs of heading and words, and ``rows`` with a ``label``, ``colour``, ``density``,
        ``is_dense``, ``failed`` (how many checks) and ``cells``. A column that no network has a value in is
        left out.
    """
    networks, rows = list_networks(record), index_rows(record)
    columns = [
        column
        for column in _list_columns(record, rows)
        if any(column.print_cell(network.method) != EMPTY for network in networks)
    ]
    failed = [str(check["method"]) for check in record.get("checks") or () if check["passed"] is False]
    return {
        "columns": [(column.heading, column.words) for column in columns],
        "rows": [
            {
                **_name(network),
                "density": network.density,
                "failed": failed.count(network.method),
                "cells": [column.print_cell(network.method) for column in columns],
            }
            for network in networks
        ],
    }


def describe_comparisons(record: Record) -> list[dict[str, Any]]:
    """Compare networks with their dense parents.

    Args:
        record: of the robustness evaluation.

    Returns:
        A row for each network and setting: ``label``, ``colour``, ``setting``, ``is_floor`` (the dense parent
        is at chance), ``difference`` (method minus dense parent, a fraction) with ``low`` and ``high``,
        ``n``, both p values in print, and ``verdict`` with its ``tone``: whether the network is not worse
        than its parent by the margin. It is ``no`` where the whole interval lies below minus the margin,
        ``undecided`` where it holds it.
    """
    rows = index_rows(record)
    described = []
    for network in list_networks(record):
        settings = [
            setting
            for method, family, setting, metric in rows
            if (method, family, metric) == (network.method, "comparison", "difference")
        ]
        for setting in settings:
            found = {
                metric: rows.get((network.method, "comparison", setting, metric))
                for metric in ("difference", "mcnemar_p", "holm_p", "non_inferior")
            }
            difference = found["difference"]
            verdict, tone = VERDICTS[_judge(difference, found["non_inferior"], record.get("margin"))]
            described.append(
                {
                    **_name(network),
                    "setting": label_compared(setting),
                    "is_floor": is_floor(record, network.reference, setting),
                    "difference": value_of(difference),
                    "low": value_of(difference, "low"),
                    "high": value_of(difference, "high"),
                    "n": None if difference is None else difference.get("n"),
                    "mcnemar": print_p(value_of(found["mcnemar_p"])),
                    "holm": print_p(value_of(found["holm_p"])),
                    "verdict": verdict,
                    "tone": tone,
                }
            )
    return described


def describe_strangers(record: Record) -> list[dict[str, Any]]:
    """List how well strangers are told apart, by network, set and score, in both conventions."""
    rows, sets = index_rows(record), list_strangers(record)
    pairs = [(name, score) for name, scores in sets.items() for score in scores]
    described = []
    for network in list_networks(record):
        for name, score in pairs:
            place = (network.method, "out_of_distribution", f"{name} {score}")
            values = [value_of(rows.get((*place, metric))) for metric in DETAILS]
            if any(value is not None for value in values):
                words = {"set": label_setting(name), "score": SCORES.get(score, score)}
                described.append({**_name(network), **words, "values": values})
    return described


def choose_strangers(record: Record) -> tuple[str, str] | None:
    """Choose set and score of the summary: the set that the dense network tells apart worst.

    One set for all networks, because those of two sets cannot be compared. None without strangers.
    """
    networks, rows = list_networks(record), index_rows(record)
    first = next((network.method for network in networks if network.is_dense), None)
    if first is None and networks:
        first = networks[0].method
    found = []
    for name, scores in list_strangers(record).items():
        score = choose_score(scores)
        value = value_of(rows.get((str(first), "out_of_distribution", f"{name} {score}", "auroc")))
        found.append((1.0 if value is None else value, name, score))
    return min(found)[1:] if found else None


def _name(network: Network) -> dict[str, Any]:
    return {
        "label": network.look.label,
        "colour": network.look.colour,
        "is_dense": network.is_dense,
    }


def _list_columns(record: Record, rows: Rows) -> list[Column]:
    headline, strangers = choose_headline(record), choose_strangers(record)
    norm, words = name_norm(record), {word: text for group in WORDS.values() for word, text in group.items()}

    def share(heading: str, meaning: str, family: str, setting: str, metric: str) -> Column:
        return Column(
            heading, meaning, lambda method: _print_share(rows.get((method, family, setting, metric)))
        )

    unchanged = "Accuracy on unchanged images."
    columns = [Column("Clean", unchanged, lambda method: _print_share(find_clean(rows, method)))]
    if headline is not None:
        setting, meaning = headline.setting, words["Robust accuracy"]
        columns.append(share(_head_robust(headline), meaning, "adversarial", setting, "robust_accuracy"))
    corrupted = f"{record.get('corruptions') or 'Corrupted'}, mean"
    columns += [
        Column(
            "Median least eps",
            words["Median least eps"],
            lambda method: (print_median(rows, method, norm), print_median_interval(rows, method, norm)),
        ),
        share(corrupted, "Accuracy, mean over the corruptions.", "corruption", "mean", "accuracy"),
        share("mCE against dense", words["mCE"], "corruption", "mean", "mean_corruption_error"),
    ]
    if strangers is not None:
        name, score = strangers
        setting, where = f"{name} {score}", label_setting(name)
        for heading, metric in (("AUROC", "auroc"), ("FPR95, strangers positive", "fpr95_ood_positive")):
            meaning = words[heading.partition(",")[0]]
            columns.append(share(f"{heading}: {where}", meaning, "out_of_distribution", setting, metric))
    return [
        *columns,
        share("ECE", words["ECE"], "calibration", "as trained", "ece"),
        Column(
            "NLL",
            words["NLL"],
            lambda method: _print_loss(rows.get((method, "calibration", "as trained", "nll"))),
        ),
    ]


def _head_robust(headline: Headline) -> str:
    return f"Robust, {headline.setting}{' (a floor)' if headline.is_floor else ''}"


def _print_share(row: Row | None) -> Cell:
    return fmt.percent(value_of(row)), print_interval(row)


def _print_loss(row: Row | None) -> Cell:
    low, high = value_of(row, "low"), value_of(row, "high")
    small = "" if low is None or high is None else f"{print_number(low)} to {print_number(high)}"
    return print_number(value_of(row)), small


def _judge(difference: Row | None, non_inferior: Row | None, margin: float | None) -> bool | None:
    """Tell whether a network is not worse: shown, shown to be worse, or neither."""
    if value_of(non_inferior):
        return True
    high = value_of(difference, "high")
    return False if margin is not None and high is not None and high < -margin - ROUNDING else None
