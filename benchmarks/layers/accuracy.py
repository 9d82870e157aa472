"""Accuracy of layer tickets beside their dense parents, shallow networks and filter tickets.

    python -m benchmarks.layers.accuracy small

Prints the tables of a setting, `small` or `digits`, from its recorded rows,
results/layer_accuracy_<setting>.json beside this script. `kedro sweep layer_tickets --env layer_study` trains
the networks of `small` again, `kedro sweep digits --env layer_study` those of `digits`.

Blocks are ranked at theta_0, go at once, and what is left starts from theta_0. ``shallow`` is the same
network with fresh weights: a ResNet of so many blocks per stage from scratch. ``filter`` is a network
without the least important filters that has as many filters, MACs or parameters as the layer ticket of its
criterion.

Found, in setting `small` (points against the dense parent): ResNet-32 without 1 to 5 blocks -0.1 to -0.8,
and ResNet-56 without 12 blocks +1.0 ± 2.5 (SNIP) and +0.1 ± 2.5 (GraSP). No layer ticket loses a point in
the mean, but all are undecided at a margin of one point. In pairs, layer tickets are level with shallow
networks: 0.0 ± 1.5 (SNIP), -0.1 ± 1.2 (GraSP). On digits all networks are too good to be told apart.
Machine: 2 cores of an AMD EPYC (`small`: AVX2, `digits`: AVX-512), one thread, torch 2.14.1.
Runs: seeds 0, 1 and 2; ResNet-56 without 1 to 5 blocks: seed 0 alone.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.summaries import show

RESULTS = Path(__file__).parent / "results"
LEVEL = 0.025  # of a one-sided test, the same as a bound of the 95 % interval
# arXiv 2301.10835, Tables 2 and 3: accuracy minus the dense network's, points; ResNet-32 on CIFAR-10, 32x32.
PUBLISHED_LAYER = {
    "snip": {1: 0.08, 2: 0.00, 3: -0.50, 4: -0.53, 5: -1.00},
    "grasp": {1: 0.40, 2: 0.72, 3: 0.34, 4: 0.41, 5: 0.12},
}
PUBLISHED_FILTER = {"snip": {1: -0.79}, "grasp": {1: -0.11}}  # as many filters as without the one block


def main() -> None:
    """Print a setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setting", choices=("small", "digits"))
    print(render(read_result(parser.parse_args().setting)))


def read_result(setting: str) -> dict[str, Any]:
    """Return what is recorded of a setting: images, recipe, ``dense``, ``rows`` and their ``summary``."""
    result: dict[str, Any] = json.loads((RESULTS / f"layer_accuracy_{setting}.json").read_text())
    return result


def render(result: dict[str, Any]) -> str:
    """Lay the result out: accuracies in percent, differences in points."""
    recipe = result["recipe"]
    lines = [
        f"{result['setting']}: {result['note']} ({recipe['epochs']} epochs, {recipe['precision']})",
        *(f"dense {network}: {show(value)} %" for network, value in result["dense_accuracy"].items()),
        f"winning: all of the 95 % t-interval over seeds is above {-100 * result['margin']:g} points",
        "winning*: still so after Holm's correction over the criteria and p of the network and method",
        "",
        *table("network | method | criterion | p | n | minus dense | verdict | MACs saved % | blocks gone"),
    ]
    for row in result["summary"]:
        corrected = row["p_value_holm"]
        star = "*" if row["verdict"] == "winning" and corrected is not None and corrected < LEVEL else ""
        stages = "; ".join("+".join(map(str, stage.values())) for stage in name_stages(row))
        cells = (
            f"{row['network']} | {name_method(row)} | {row['criterion']} | {row['removed']}",
            f"{len(row['seeds'])} | {show(row['minus_dense'])} | {row['verdict']}{star}",
            f"{100 * row['macs_saved']:.2f} | {stages}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *table("network | criterion | layer ticket minus | p | n | points, averaged over p")]
    for row in result["contrasts"]:
        removed = ", ".join(map(str, row["removed"]))
        cells = (
            f"{row['network']} | {row['criterion']} | {name_method(row)} | {removed}",
            f"{len(row['seeds'])} | {show(row['layer_minus_other'])}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *compare_with_published(result["summary"])])


def compare_with_published(summary: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield Tables 2 and 3 of arXiv 2301.10835 beside what was measured here, in points."""
    own = {
        (row["method"], row["criterion"], row["removed"]): show(row["minus_dense"])
        for row in summary
        if row["network"] == "resnet32" and row["matching"] in (None, "filters")
    }
    yield "ResNet-32 minus dense, points; published: CIFAR-10 of 32x32 pixels, schedule and seeds not stated"
    columns = [f"{name} {source}" for name in PUBLISHED_LAYER for source in ("published", "here")]
    yield from table(f"ticket | p | {' | '.join(columns)}")
    for method, published in (("layer", PUBLISHED_LAYER), ("filter", PUBLISHED_FILTER)):
        for removed in published["snip"]:
            cells = [
                f"{values[removed]:+.2f} | {own.get((method, criterion, removed), '')}"
                for criterion, values in published.items()
            ]
            yield f"| {method} | {removed} | {' | '.join(cells)} |"


def table(columns: str) -> list[str]:
    """Return the head of a table."""
    return [f"| {columns} |", "|---" * (columns.count(" | ") + 1) + "|"]


def name_stages(row: dict[str, Any]) -> list[dict[str, int]]:
    """Return the blocks removed by stage for each seed, zeros included; nothing for filter tickets."""
    stages = ("layer1", "layer2", "layer3")
    return [{stage: seed.get(stage, 0) for stage in stages} for seed in row["blocks_by_stage"] if seed]


def name_method(row: dict[str, Any]) -> str:
    """Return the method, with what filters are matched by."""
    return row["method"] if row["matching"] is None else f"{row['method']}, equal {row['matching']}"


if __name__ == "__main__":
    main()
