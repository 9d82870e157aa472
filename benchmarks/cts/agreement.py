"""The study of CTS beside an independent measurement of the same formulas.

    python -m benchmarks.cts.agreement

Reads the recorded results of `torch_init_32` and `average_16` from results/ beside this script. Prints what
each method has reached, the standard deviation s of its own seeds, the independent figure of one seed and the
difference. Agreements are not counted: two or three seeds are too few for an interval of each method's own,
and one spread for all would be wrong, since the methods differ from 0.1 to 14.5 points.

How the random masks of the other measurement share their weights among the layers is not known. Its figures
stand beside both ours, `random` (ERK) and `random_uniform`.

Found: without SNIP, the differences are 3.0 points or less in 19 of 21 rows. The exceptions are random masks
at 0.738 % of `torch_init_32`: 22.8 there, 18.6 here if uniform, 39.3 by ERK. SNIP differs by 1.8 to 9.6
points, and its own s is 14.5 at 0.738 %.
Machine: none of its own; the rows are from an NVIDIA H200 with torch 2.11.0 (`torch_init_32`) and from 2
cores of an AMD EPYC (AVX2) with torch 2.14.1 (`average_16`).
Runs: seeds 0, 1 and 2 of `torch_init_32` (`ltr`: two seeds, `random`: one), one seed of `average_16` and of
each figure there.
"""

from collections.abc import Iterator
from statistics import mean, stdev

from benchmarks.cts.cts_vs_ltr import read_result

DENSE = "dense"
KINDS = {"random": ("random", "random_uniform")}  # how the other masks share their weights is not known
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
    """Print the figures side by side."""
    columns = (
        "setting",
        "method",
        "start",
        "density %",
        "here",
        "seeds",
        "own s",
        "independent",
        "difference",
    )
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for row in (row for setting in INDEPENDENT for row in compare(setting, read(setting))):
        print(f"| {' | '.join(row)} |")


def read(setting: str) -> dict[tuple[str, str, int], list[float]]:
    """Return the recorded accuracies of a setting in percent, by method, start and rung."""
    recorded = read_result(setting)
    found = {(DENSE, "initial", 0): recorded["dense_accuracy"]["values"]}
    for row in recorded["summary"]:
        found[row["method"], row["start"], row["rung"]] = row["test_accuracy"]["values"]
    return {key: [100 * value for value in values] for key, values in found.items()}


def compare(setting: str, measured: dict[tuple[str, str, int], list[float]]) -> Iterator[list[str]]:
    """Yield the cells of a row for each recorded row that stands beside an independent figure."""
    for (method, rung), figure in INDEPENDENT[setting].items():
        for name in KINDS.get(method, (method,)):
            for start in ("initial", "rewind"):
                values = measured.get((name, start, rung), [])
                if values:
                    own = f"{stdev(values):.1f}" if len(values) > 1 else "unknown"
                    numbers = [f"{mean(values):.1f}", str(len(values)), own, f"{figure:.1f}"]
                    yield [
                        setting,
                        name,
                        start,
                        f"{100 * 0.8**rung:.3g}",
                        *numbers,
                        f"{mean(values) - figure:+.1f}",
                    ]


if __name__ == "__main__":
    main()
