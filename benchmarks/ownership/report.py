"""The tables of the study of signed tickets."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from scipy.stats import kstest

from benchmarks.ownership.settings import PUBLISHED_ADDING, PUBLISHED_PRUNING
from lottery_pipeline.statistics.intervals import t_interval

Rows = dict[str, list[dict[str, Any]]]


def gather(folder: Path) -> Rows:
    """Read all rows of a setting."""
    found: Rows = defaultdict(list)
    keys: dict[tuple[float, int], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((folder / "rows").glob("*.json")):
        row = json.loads(path.read_text())
        what = row.pop("what")
        if what == "wrong keys":
            keys[row["density"], row["seed"]].append(row)
        elif what in ("attacks", "strangers"):
            ticket = {"density": row["density"], "ticket_seed": row.get("ticket_seed", row.get("seed"))}
            found[what] += [{**ticket, **one} for one in row["rows"]]
        else:
            found[what].append(row)
    for (density, seed), parts in keys.items():
        p = [value for part in parts for value in part["p"]]
        most = max(part["most_bits"] for part in parts)
        test = kstest(p, "uniform").pvalue
        found["wrong keys"].append(
            {"density": density, "seed": seed, "keys": len(p), "most_bits": most, "ks_p": float(test)}
        )
    return dict(found)


def render(rows: Rows) -> str:
    """Return the tables as Markdown."""
    parts = [_render_costs(rows), _render_attacks(rows), _render_comparison(rows), _render_strangers(rows)]
    return "\n\n".join(part for part in parts if part)


def _render_costs(rows: Rows) -> str:
    lines = [
        "| density | unsigned % | signed % | difference | edits of kept | A0 bits | decoded | triggers |",
        "|" + "---|" * 8,
    ]
    for density in sorted({row["density"] for row in rows.get("signed", [])}, reverse=True):
        plain = {
            row["seed"]: row["accuracy"] for row in rows.get("unsigned", []) if row["density"] == density
        }
        signed = [row for row in rows["signed"] if row["density"] == density and row["seed"] in plain]
        if not signed:
            continue
        gaps = [100 * (row["accuracy"] - plain[row["seed"]]) for row in signed]
        untouched = [
            row for row in rows.get("attacks", []) if row["attack"] == "A0" and row["density"] == density
        ]
        lines.append(
            f"| {100 * density:g} % | {100 * mean(plain.values()):.2f} | "
            f"{100 * mean(row['accuracy'] for row in signed):.2f} | {_spread(gaps)} | "
            f"{mean(row['edits'] for row in signed):.0f} of {signed[0]['kept']:,} | "
            f"{min((row['bits'] for row in untouched), default=0):.0f} | "
            f"{sum(row['decoded'] for row in untouched)} of {len(untouched)} | "
            f"{min((_rate(row) for row in untouched), default=0):.0f} % |"
        )
    return "\n".join(lines)


def _render_attacks(rows: Rows) -> str:
    lines = [
        "| attack | parameters | density | drop | bits (least) | detected | decoded | triggers | promise |",
        "|" + "---|" * 9,
    ]
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows.get("attacks", []):
        grouped[int(row["attack"][1:]), row["attack"], row["name"], row["parameters"], row["density"]].append(
            row
        )
    for (_, attack, name, parameters, density), found in sorted(
        grouped.items(), key=lambda item: (item[0][0], -item[0][4])
    ):
        drops = [100 * row["accuracy_drop"] for row in found if row["accuracy_drop"] is not None]
        held = [row["held"] for row in found if row["held"] is not None]
        promise = "broken" if False in held else "held" if held else "none made"
        lines.append(
            f"| {attack} {name} | {parameters} | {100 * density:g} % | {mean(drops):.1f} | "
            f"{mean(row['bits'] for row in found):.0f} ({min(row['bits'] for row in found):.0f}) | "
            f"{sum(row['detected'] for row in found)} of {len(found)} | "
            f"{sum(row['decoded'] for row in found)} of {len(found)} | "
            f"{mean(_rate(row) for row in found):.0f} % | {promise} |"
            if drops
            else f"| {attack} {name} | {parameters} | {100 * density:g} % | - | "
            f"{mean(row['bits'] for row in found):.0f} ({min(row['bits'] for row in found):.0f}) | "
            f"{sum(row['detected'] for row in found)} of {len(found)} | "
            f"{sum(row['decoded'] for row in found)} of {len(found)} | - | {promise} |"
        )
    return "\n".join(lines)


def _render_comparison(rows: Rows) -> str:
    """The published QR code beside ours, and what its authors found."""
    lines = [
        "| attack | parameters | QR decoded | QR accuracy % | published | ours detected | our accuracy % |",
        "|" + "---|" * 7,
    ]
    published = {
        **{("A5", f"share={share:g}"): value for share, value in PUBLISHED_PRUNING.items()},
        **{
            ("A11", f"probability={p:g}, std=0.1, fine_tuned=False"): value
            for p, value in PUBLISHED_ADDING.items()
        },
    }
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows.get("attacks", []):
        if row["qr_decoded"] is not None and row["attack"] in ("A0", "A5", "A11", "A13"):
            grouped[row["attack"], row["parameters"]].append(row)
    for (attack, parameters), found in grouped.items():
        theirs = published.get((attack, parameters))
        said = "-" if theirs is None else f"{theirs[0]:.2f}, {'decoded' if theirs[1] else 'lost'}"
        lines.append(
            f"| {attack} | {parameters} | {sum(row['qr_decoded'] for row in found)} of {len(found)} | "
            f"{100 * mean(row['qr_accuracy'] for row in found):.2f} | {said} | "
            f"{sum(row['detected'] for row in found)} of {len(found)} | "
            f"{100 * mean(row['accuracy'] for row in found):.2f} |"
        )
    return "\n".join(lines)


def _render_strangers(rows: Rows) -> str:
    strangers = rows.get("strangers", [])
    lines = []
    if strangers:
        aligned = [row["uncharged_bits"] for row in strangers if row["aligned"]]
        lines.append(
            f"{len(strangers)} networks without the mark, true key: "
            f"{sum(row['verdict'] == 'owned' for row in strangers)} verdicts owned, "
            f"at most {max(row['bits'] for row in strangers):.1f} bits "
            f"(before charges {max(row['uncharged_bits'] for row in strangers):.1f}; "
            f"best reading aligned in {len(aligned)})."
        )
    lines += [
        f"{row['keys']:,} wrong keys, {100 * row['density']:g} % seed {row['seed']}: at most "
        f"{row['most_bits']:.1f} bits before charges; randomised p-values against uniform: KS p = "
        f"{row['ks_p']:.2f}."
        for row in rows.get("wrong keys", [])
    ]
    return "\n".join(lines)


def _rate(row: dict[str, Any]) -> float:
    return 100 * row["trigger_hits"] / row["trigger_counted"] if row["trigger_counted"] else 0.0


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:+.2f} (one seed)"
    found = t_interval(values)
    return f"{found.mean:+.2f} ± {found.high - found.mean:.2f}"
