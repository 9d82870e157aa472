"""Whether the study of CTS agrees with an independent measurement of the same formulas.

    python -m benchmarks.cts.agreement

Reads the recorded results of `torch_init_32` and `average_16` from results/ beside this script. An
independent figure is of one seed, so it agrees where it lies in the 95 % prediction interval of one more
seed: mean ± t s sqrt(1 + 1/n). The standard deviation s is pooled over the rows of `torch_init_32`, those
of SNIP left out, one of whose tickets has collapsed.

Found: 18 of 22 figures agree (SNIP counted with the 100 images of the study). SNIP's three do not, and
neither does the random mask at 0.738 % of `torch_init_32`: 18.6 here, 22.8 there. s is 1.59 with 23
degrees of freedom.
Machine: none of its own; the rows are from an NVIDIA H200 with torch 2.11.0 (`torch_init_32`) and from 2
cores of an AMD EPYC (AVX2) with torch 2.14.1 (`average_16`).
Runs: seeds 0, 1 and 2 of `torch_init_32` (`ltr`: two seeds), one seed of `average_16` and of each figure
there.

Two things are not like with like, and will be measured again. The random masks here are uniform over the
layers; no allocation is recorded for those of the other measurement. And s is pooled over methods but used
as if it were each method's own, although the spreads of the methods differ several times over.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, variance

from scipy.stats import t

RESULTS = Path(__file__).parent / "results"
SPREAD_FROM = "torch_init_32"
DENSE = "dense"
# Test accuracy in percent: another implementation, one seed each; ResNet-20, bfloat16, method and rung.
INDEPENDENT: dict[str, dict[tuple[str, int], float]] = {
    "torch_init_32": {
        (DENSE, 0): 51.8,
        ("ltr", 1): 56.9,
        ("ltr", 10): 69.9,
        ("ltr", 14): 70.2,
        ("ltr", 18): 67.6,
        ("ltr", 22): 58.8,
        ("random", 14): 50.6,
        ("snip", 14): 45.7,
        ("cts_kl", 14): 49.6,
        ("cts_l", 14): 58.0,
        ("cts_l_shuffled", 14): 54.3,
        ("random", 22): 22.8,
        ("snip", 22): 36.2,
        ("cts_kl", 22): 40.4,
        ("cts_l", 22): 44.0,
        ("cts_l_shuffled", 22): 39.9,
    },
    "average_16": {
        (DENSE, 0): 72.4,
        ("random", 22): 24.5,
        ("snip", 22): 48.2,
        ("snip_1000", 22): 48.2,  # of how many images is not known
        ("cts_kl", 22): 52.0,
        ("cts_l", 22): 54.0,
        ("cts_l_shuffled", 22): 48.0,
    },
}


def main() -> None:
    """Compare, and print a table."""
    spread = pool([values for (method, _), values in read(SPREAD_FROM).items() if method != "snip"])
    print(f"standard deviation {spread[0]:.2f}, {spread[1]} degrees of freedom\n")
    print("| setting | method | rung | here | independent | 95 % of one more seed | agrees |")
    print("|---|---|---|---|---|---|---|")
    for row in (row for setting in INDEPENDENT for row in compare(setting, *spread)):
        print(f"| {' | '.join(row)} |")


def read(setting: str) -> dict[tuple[str, int], list[float]]:
    """Return the recorded accuracies of a setting in percent, by method and rung."""
    recorded = json.loads((RESULTS / f"cts_vs_ltr_{setting}.json").read_text())
    found = {(row["method"], row["rung"]): row["test_accuracy"]["values"] for row in recorded["summary"]}
    found[DENSE, 0] = recorded["dense_accuracy"]["values"]
    return {key: [100 * value for value in values] for key, values in found.items()}


def pool(groups: list[list[float]]) -> tuple[float, int]:
    """Return the pooled standard deviation of groups, and its degrees of freedom."""
    groups = [values for values in groups if len(values) > 1]
    freedom = sum(len(values) - 1 for values in groups)
    return math.sqrt(sum((len(v) - 1) * variance(v) for v in groups) / freedom), freedom


def compare(setting: str, deviation: float, freedom: int) -> Iterator[list[str]]:
    """Yield the cells of a row for each figure of a setting."""
    measured = read(setting)
    for (method, rung), independent in INDEPENDENT[setting].items():
        values = measured[method, rung]
        margin = float(t.ppf(0.975, freedom)) * deviation * math.sqrt(1 + 1 / len(values))
        agrees = "yes" if abs(mean(values) - independent) <= margin else "no"
        numbers = [f"{mean(values):.1f}", f"{independent:.1f}", f"± {margin:.1f}", agrees]
        yield [setting, method, str(rung), *numbers]


if __name__ == "__main__":
    main()
