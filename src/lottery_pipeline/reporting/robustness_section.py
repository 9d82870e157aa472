"""The report's section on robustness: what was measured, what failed, what it means and what it does not."""

import math
from typing import Any

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.published_robustness import EPS, PAPER, Published, find_published
from lottery_pipeline.reporting.robustness_findings import find_robustness
from lottery_pipeline.reporting.robustness_glossary import LIMITS, WORDS
from lottery_pipeline.reporting.robustness_heatmap import find_clean
from lottery_pipeline.reporting.robustness_record import (
    CONFIDENCE,
    Record,
    choose_headline,
    index_rows,
    list_eps,
    list_networks,
    value_of,
)
from lottery_pipeline.reporting.robustness_tables import (
    describe_comparisons,
    describe_strangers,
    describe_summary,
)
from lottery_pipeline.reporting.robustness_words import (
    join_words,
    label_method,
    label_setting,
    print_interval,
)

ROBUSTNESS_TEXTS = {
    "robustness_heatmap": (
        "Robustness at a glance",
        (
            "All numbers are in percent. Blue cells are better than the network's dense parent, red ones "
            "worse; the colours stop at the ends of the scale. The worst corruption is each network's own."
        ),
    ),
    "eps_curves": (
        "Robust accuracy against eps",
        (
            "An image counts as robust if no attack within eps changes the answer to a wrong one. Bars: "
            "intervals of the choice of images. At every eps the networks stand beside each other."
        ),
    ),
    "corruption_accuracy": (
        "Accuracy under corruptions",
        "Each marker is a mean over severities. The joined markers are those of a dense network.",
    ),
    "reliability": (
        "Is a network as often right as it is sure?",
        (
            "A calibrated network lies on the dotted diagonal, one that is too sure lies below it. Larger "
            "markers: more images. Thick grey line: the dense parent. Bins with few images scatter."
        ),
    ),
}
POTENTIALS = {"clean": "on clean images", "mean": "under corruptions on average"}
POTENTIAL = "Prune potential, the highest sparsity of a ticket within half a point of the dense network"
FAMILIES = {
    "clean": "unchanged",
    "adversarial": "attacked",
    "corruptions": "corrupted",
    "out_of_distribution": "set against strangers",
    "calibration": "used for confidence",
}


def describe_robustness(record: Record | None, *, data: str, model: str) -> dict[str, Any] | None:
    """Collect what the report says about robustness.

    Args:
        record: of the robustness evaluation.
        data: source of the images, for published rows to put beside ours.
        model: name of the network.

    Returns:
        For the template: ``images`` (a sentence), ``headline`` (None without an attack), ``summary``,
        ``comparisons``, ``potential`` (a sentence, empty if it is not known), ``margin`` (likewise),
        ``confidence``, ``checks``, ``strangers``, ``published`` (None if there is nothing to put beside this
        run), ``words``, ``limits`` and ``findings``. None without a network.
    """
    if record is None or not list_networks(record) or not record.get("rows"):
        return None
    families = {str(row["family"]) for row in record["rows"]}
    return {
        "images": _count_images(record),
        "headline": choose_headline(record),
        "summary": describe_summary(record),
        "comparisons": describe_comparisons(record),
        "potential": _state_prune_potential(record),
        "margin": _print_margin(record.get("margin")),
        "confidence": record.get("confidence", CONFIDENCE),
        "checks": _describe_checks(record),
        "strangers": describe_strangers(record),
        "published": _describe_published(record, find_published(data, model)),
        "words": [word for family, words in WORDS.items() if family in families for word in words.items()],
        "limits": _list_limits(record, families),
        "findings": find_robustness(record),
    }


def _state_prune_potential(record: Record) -> str:
    """Say how many weights can go before accuracy does, on clean and on corrupted images."""
    rows = index_rows(record)
    dense = next((network.method for network in list_networks(record) if network.is_dense), "")
    known = {
        setting: value
        for method, family, setting, metric in rows
        if (method, family, metric) == (dense, "corruption", "prune_potential")
        and (value := value_of(rows[method, family, setting, metric])) is not None
    }
    said = [f"{fmt.percent(known[name])} {words}" for name, words in POTENTIALS.items() if name in known]
    single = {name: value for name, value in known.items() if name not in POTENTIALS}
    if single:
        worst = [label_setting(name) for name, value in single.items() if value == min(single.values())]
        said.append(f"{fmt.percent(min(single.values()))} under the worst ({join_words(worst)})")
    return f"{POTENTIAL}: {join_words(said)}." if said else ""


def _print_margin(margin: float | None) -> str:
    if margin is None:
        return ""
    return f"{write_number(100 * margin, 3)} point{'' if math.isclose(margin, 0.01) else 's'}"


def _describe_checks(record: Record) -> dict[str, Any]:
    networks, checks = list_networks(record), record.get("checks") or ()
    return {
        "failed": [
            {
                "label": label_method(networks, str(check["method"])),
                "check": str(check["check"]).replace("_", " "),
                "sentence": check["sentence"],
            }
            for check in checks
            if check["passed"] is False
        ],
        "passed": sum(check["passed"] is True for check in checks),
    }


def _count_images(record: Record) -> str:
    counts = record.get("images") or {}
    said = [
        f"{fmt.whole(counts[family])} {words}"
        for family, words in FAMILIES.items()
        if not fmt.is_missing(counts.get(family))
    ]
    return f"Test images: {', '.join(said)}." if said else ""


def _describe_published(record: Record, published: Published | None) -> dict[str, Any] | None:
    """Put our networks at the distance of the benchmark beside its rows."""
    if published is None:
        return None
    rows = index_rows(record)
    setting = next(
        (name for name, eps in list_eps(record).items() if name.startswith("Linf") and abs(eps - EPS) < 5e-4),
        None,
    )
    ours = [
        {
            "label": network.look.label,
            "sparsity": 1 - network.density,
            "clean": value_of(find_clean(rows, network.method)),
            "attacked": value_of(row),
            "interval": print_interval(row),
            "n": row.get("n"),
        }
        for network in list_networks(record)
        if setting is not None
        and (row := rows.get((network.method, "adversarial", setting, "robust_accuracy"))) is not None
    ]
    return {
        "rows": published.rows,
        "note": published.note,
        "ours": ours,
        "setting": setting,
        "paper": PAPER,
    }


def _list_limits(record: Record, families: set[str]) -> list[str]:
    seeds = sorted({int(entry["seed"]) for entry in record["networks"]})
    listed = join_words([str(seed) for seed in seeds])
    limits = [LIMITS["seeds"].format(seeds=f"One seed ({listed})" if len(seeds) == 1 else f"Seeds {listed}")]
    if {"adversarial", "comparison"} & families:
        limits.append(LIMITS["more robust"])
    if "adversarial" in families:
        limits += [LIMITS["bound"], LIMITS["floor"]]
    if record.get("corruptions") == "C-like":
        limits.append(LIMITS["C-like"])
    return limits
