"""Concrete Ticket Search against rewinding and the saliency methods, at equal density and recipe.

    python -m benchmarks.cts.cts_vs_ltr converged

Prints the tables of a setting from its recorded rows, results/cts_vs_ltr_<setting>.json beside this script:
means and 95 % t-intervals over seeds, differences to rewinding at the same density and start, and what each
ticket cost. `kedro sweep densities --env cts_study` trains the networks of `converged` again, `rewind_points`
those of `rewind_3`, `rewind_5` and `rewind_9`, and a sweep of its own name those of any other setting: see
conf/cts_study/sweep.yml. The masks of `cts_l_shuffled` are those of `cts_l`, shuffled inside each layer.

Found, in setting `converged` at a density of 0.738 % (test accuracy in percent, dense 47.0 ± 1.0), from
theta_1: `ltr` 47.6 ± 1.7, CTS 42.7 ± 1.5 (reverse KL) and 43.5 ± 1.0 (task loss), SNIP 42.5 ± 1.0, random
masks 39.0 ± 0.9 (ERK); from theta_0: `lth` 46.2 ± 2.4, CTS 41.3 ± 3.1 and 42.3 ± 3.2, SNIP 40.9 ± 0.8, random
masks 39.1 ± 5.2 (ERK) and 19.8 ± 2.7 (uniform). `ltr` cost 13.4 times the epochs of CTS with reverse KL. What
later rewind points do, `benchmarks.cts.rewinds` says.
Machine: 2 cores of an AMD EPYC, torch 2.14.1; `torch_init_16` and `torch_init_32`: NVIDIA H200, torch
2.11.0.
Runs: seeds 0, 1 and 2 of `converged`, of `rewind_3`, `rewind_5` and `rewind_9`, of
`torch_init_16` and `torch_init_32` (`ltr` there: two seeds, `random`: one); seeds 0 and 1 of `small`; seed 0
of the other settings.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.summaries import show

RESULTS = Path(__file__).parent / "results"
STEM = "cts_vs_ltr_"
GAPS = ("dead_layers", "unconnected_classes")  # the earliest rows lack them


def main() -> None:
    """Print a setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setting", choices=list_settings())
    print(render(read_result(parser.parse_args().setting)))


def list_settings() -> list[str]:
    """Return the names of the recorded settings."""
    return sorted(path.stem.removeprefix(STEM) for path in RESULTS.glob(f"{STEM}*.json"))


def read_result(setting: str) -> dict[str, Any]:
    """Return what is recorded of a setting: images, recipe, ``dense``, ``rows`` and their ``summary``."""
    result: dict[str, Any] = json.loads((RESULTS / f"{STEM}{setting}.json").read_text())
    return result


def render(result: dict[str, Any]) -> str:
    """Lay the summary out as Markdown: accuracies in percent, differences in points."""
    lines = [f"{result['setting']}: {result['note']}", f"dense {show(result['dense_accuracy'])} %"]
    if "gain_of_twice_the_epochs" in result:
        gain = show(result["gain_of_twice_the_epochs"])
        lines.append(f"twice the epochs change the dense network by {gain}")
    lines.append("")
    columns = (
        "start",
        "density %",
        "method",
        "accuracy",
        "minus ladder",
        "ladder's cost / its own: epochs, s",
        "dead layers, unconnected classes",
    )
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in result["summary"]:
        gain = show(row["minus_ladder"]) if "minus_ladder" in row else ""
        ratios = [row.get(f"ladder_cost_ratio_{unit}") for unit in ("epochs", "seconds")]
        costs = ", ".join(f"{ratio:.1f}" for ratio in ratios if ratio is not None)
        gaps = ", ".join(f"{row[gap]:.1f}" for gap in GAPS if gap in row)
        place = f"{row['start']} | {100 * row['density']:.3f} | {row['method']}"
        lines.append(f"| {place} | {show(row['test_accuracy'])} | {gain} | {costs} | {gaps} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
