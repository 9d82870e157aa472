"""What a run shows, in words: computed sentences that claim no more than one run can support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.chance import describe_margin, judge
from lottery_pipeline.reporting.leaderboard import list_rows
from lottery_pipeline.reporting.metric import ACCURACY, name_metric, put_metric
from lottery_pipeline.reporting.networks import has_own_network, name_network
from lottery_pipeline.reporting.palette import label_control, label_run
from lottery_pipeline.reporting.ranking import can_choose, pick_density

Tables = Mapping[str, list[dict[str, Any]] | None]
CHOSEN = "chosen by validation accuracy"
NEAR_DENSE = 0.01  # "within one point of the dense network", the tolerance most papers on tickets use


@dataclass(frozen=True)
class Finding:
    """One sentence and its tone, which picks the mark beside it."""

    tone: Literal["good", "even", "bad", "note"]
    text: str


@dataclass(frozen=True)
class Findings:
    """What a run shows.

    Attributes:
        headline: one sentence.
        best: the row of the leaderboard it is about, with ``title``, what its card says; None if no method
            was run, or if there are several and no validation images to choose by.
        sentences: further findings.
    """

    headline: str
    best: dict[str, Any] | None
    sentences: list[Finding]


def find(
    leaderboard: pd.DataFrame,
    ladders: Tables,
    controls: Tables,
    *,
    test_images: int | None,
    others: Sequence[Finding] = (),
) -> Findings:
    """Say what the leaderboard, the ladders and the controls show.

    The headline is about the ticket with the highest validation accuracy at the density that most runs share
    (the lowest in a tie), because accuracies are comparable only at equal density. What is said of it is said
    of the test images, which have chosen nothing. Without validation images none of several is the best.

    Args:
        leaderboard: as ``build_leaderboard`` makes it.
        ladders: rungs by run.
        controls: control rows by run.
        test_images: size of the test part; None leaves out what the choice of test images alone explains, and
            so does a score that counts something else than images.
        others: what further evaluations show; it stands before the caution.
    """
    if leaderboard.empty:
        return Findings("No ticket has been found yet.", None, list(others))
    rows = list_rows(leaderboard)
    metric = name_metric(rows)
    test_images = test_images if metric == ACCURACY else None
    comparable = [row for row in rows if not row["note"]]
    density = pick_density(comparable)
    rivals = [row for row in comparable if row["density"] == density]
    best = rivals[0] if can_choose(rivals) else None  # ``build_leaderboard`` has ranked them
    chosen = f", {CHOSEN}," if len(rivals) > 1 else ""
    sentences: list[Finding] = []
    for row in rivals if best is None else [best]:
        sentences += [
            _compare_with_dense(row, test_images),
            *_compare_with_controls(row, controls.get(row["run"]) or [], test_images),
        ]
    if best is not None:
        sentences += _read_ladder(best, ladders.get(best["run"]) or [])
        sentences += _compare_with_rivals(best, rivals[1:], test_images)
    sentences += _name_dead_layers(rows)
    if best is not None:
        sentences.append(_state_cost(best))
    sentences += [*_compare_own_networks(best, rows, test_images), *others, _state_caution(rows)]
    worded = [Finding(finding.tone, put_metric(finding.text, metric)) for finding in sentences]
    if best is None:
        return Findings(put_metric(_admit_no_choice(rivals), metric), None, worded)
    title = f"{_label(best)} ticket, test accuracy" + (f"; {CHOSEN}" if chosen else "")
    headline = put_metric(_headline(best, chosen), metric)
    return Findings(headline, best | {"title": put_metric(title, metric)}, worded)


def _label(row: Mapping[str, Any]) -> str:
    return label_run(str(row["run"]), str(row["method"]))


def _headline(best: Mapping[str, Any], chosen: str) -> str:
    ticket, dense = best["test_accuracy"], best["dense_accuracy"]
    start = f"With {fmt.density(best['density'])} of the weights, the {_label(best)} ticket{chosen}"
    if ticket < dense:
        return f"{start} keeps {fmt.percent(ticket / dense)} of the dense network's accuracy."
    return f"{start} reaches {fmt.percent(ticket)}; the dense network reaches {fmt.percent(dense)}."


def _admit_no_choice(rivals: Sequence[Mapping[str, Any]]) -> str:
    return (
        f"{len(rivals)} tickets have {fmt.density(rivals[0]['density'])} of the weights. None is called the "
        "best, because there are no validation images to choose by."
    )


def _compare_with_dense(best: Mapping[str, Any], test_images: int | None) -> Finding:
    ticket, dense = best["test_accuracy"], best["dense_accuracy"]
    difference = ticket - dense
    margin = describe_margin(difference, ticket, dense, test_images)
    return Finding(
        _judge_against_dense(ticket, dense, test_images),
        f"{_label(best)} reaches {fmt.percent(ticket)} on the test images, its dense parent "
        f"{fmt.percent(dense)} ({fmt.points(difference)} points{margin}).",
    )


def _judge_against_dense(
    ticket: float, dense: float, test_images: int | None
) -> Literal["good", "even", "bad"]:
    # Rounded as it is printed: 98.0% is within one point of 99.0%.
    near = round(100 * (ticket - dense), 1) >= -100 * NEAR_DENSE
    return "good" if near else judge(ticket - dense, ticket, dense, test_images)


def _compare_with_controls(
    best: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], test_images: int | None
) -> list[Finding]:
    found = []
    ticket = best["test_accuracy"]
    for kind in sorted({str(row["control"]) for row in rows}):
        scores = [
            row["test_accuracy"] for row in rows if row["control"] == kind and row["kept"] == best["kept"]
        ]
        if not scores:
            continue
        control = sum(scores) / len(scores)
        difference = ticket - control
        tone = judge(difference, ticket, control, test_images)
        verdict = "above" if difference > 0 else "below" if difference < 0 else "level with"
        mean = f", mean of {len(scores)}" if len(scores) > 1 else ""
        margin = describe_margin(difference, ticket, control, test_images)
        sentence = (
            f"{_label(best)} is {verdict} its control, {label_control(kind)}, at the same density "
            f"({fmt.percent(control)}{mean}): {fmt.points(difference)} points{margin}."
        )
        found.append(Finding(tone, sentence))
    return found or [
        Finding("note", f"No control was trained for the {_label(best)} ticket at this density.")
    ]


def _read_ladder(best: Mapping[str, Any], ladder: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Find the last rung near the dense network; the validation images choose it, as they choose tickets."""
    dense, *sparse = sorted(ladder, key=lambda row: -row["density"]) or [{}]
    if not sparse or any(fmt.is_missing(row.get("validation_accuracy")) for row in (dense, *sparse)):
        return []
    near = []
    for row in sparse:
        if row["validation_accuracy"] < dense["validation_accuracy"] - NEAR_DENSE:
            break
        near.append(row)
    if not near:
        text = "On the ladder, even the first rung loses more than one point of validation accuracy."
        return [Finding("note", text)]
    last = near[-1]
    where = (
        "every rung, down to" if len(near) == len(sparse) else f"{len(near)} of {len(sparse)} rungs, down to"
    )
    return [
        Finding(
            "note",
            f"Down the ladder, {_label(best)} stays within one point of the dense network's validation "
            f"accuracy on {where} {fmt.density(last['density'])} of the weights, and reaches "
            f"{fmt.percent(last['test_accuracy'])} on the test images there.",
        )
    ]


def _compare_with_rivals(
    best: Mapping[str, Any], rivals: Sequence[Mapping[str, Any]], test_images: int | None
) -> list[Finding]:
    if not rivals:
        return []
    second = rivals[0]
    difference = second["test_accuracy"] - best["test_accuracy"]
    margin = describe_margin(difference, second["test_accuracy"], best["test_accuracy"], test_images)
    return [
        Finding(
            "note",
            f"Next at this density, by validation accuracy, is {_label(second)}: "
            f"{fmt.percent(second['test_accuracy'])} on the test images, {fmt.points(difference)} points"
            f"{margin}.",
        )
    ]


def _compare_own_networks(
    best: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]], test_images: int | None
) -> list[Finding]:
    """Compare a ticket of another network with its own dense parent, and with the best at equal weights."""
    found = []
    for row in rows:
        if not row["note"] or not has_own_network(str(row["method"])):
            continue
        ticket, dense = row["test_accuracy"], row["dense_accuracy"]
        margin = describe_margin(ticket - dense, ticket, dense, test_images)
        before = row["found_accuracy"]
        as_found = "" if fmt.is_missing(before) else f" ({fmt.percent(before)} before its retraining)"
        text = (
            f"{_label(row)} has a network of its own ({name_network(row)}). With {fmt.whole(row['kept'])} "
            f"weights it reaches {fmt.percent(ticket)}{as_found}, its dense parent {fmt.percent(dense)} "
            f"({fmt.points(ticket - dense)} points{margin})."
        )
        found.append(Finding(_judge_against_dense(ticket, dense, test_images), text))
        if best is not None and row["kept"] == best["kept"]:
            rival = best["test_accuracy"]
            margin = describe_margin(ticket - rival, ticket, rival, test_images)
            text = (
                f"{_label(best)} keeps as many weights, of another network, and reaches {fmt.percent(rival)}"
                f": {fmt.points(ticket - rival)} points for {_label(row)}{margin}."
            )
            found.append(Finding("note", text))
    return found


def _name_dead_layers(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    return [
        Finding(
            "bad",
            f"{_label(row)} has {row['dead_layers']} dead layer{'s' if row['dead_layers'] > 1 else ''}: "
            "no weight is left there, so the output no longer depends on the image.",
        )
        for row in rows
        if row["dead_layers"]
    ]


def _state_cost(best: Mapping[str, Any]) -> Finding:
    theory, executed = (
        _share(best[key], best["macs_dense"]) for key in ("macs_theoretical", "macs_executed")
    )
    if theory is None:
        arithmetic = ""
    elif executed == 1:
        arithmetic = (
            f" In theory the ticket needs {fmt.density(theory)} of the dense multiplications; a library for "
            "dense arithmetic still executes all of them."
        )
    else:
        arithmetic = (
            f" In theory the ticket needs {fmt.density(theory)} of the dense multiplications; "
            f"{fmt.density(executed)} are executed."
        )
    search = f"{fmt.epochs(best['search_epochs'])} epochs ({fmt.duration(best['search_seconds'])})"
    retraining = f"{fmt.epochs(best['train_epochs'])} ({fmt.duration(best['train_seconds'])})"
    return Finding("note", f"The search took {search}, retraining took {retraining}.{arithmetic}")


def _share(part: Any, of_all: Any) -> float | None:
    return None if fmt.is_missing(part) or fmt.is_missing(of_all) or not of_all else part / of_all


def _state_caution(rows: Sequence[Mapping[str, Any]]) -> Finding:
    seeds = sorted({int(row["seed"]) for row in rows})
    named = (
        f"One seed ({seeds[0]})" if len(seeds) == 1 else f"Seeds {', '.join(map(str, seeds))}, one run each"
    )
    return Finding(
        "note", f"{named}: differences between methods are observations here, not significant results."
    )
