"""Sanity checks of CTS, and of SNIP beside it, on CIFAR-10: does the ticket need its mask and its scores?

    python -m benchmarks.cts.sanity_checks run --data FOLDER     # of train/<class>/* and test/<class>/*
    python -m benchmarks.cts.sanity_checks report                # from what the last run has left

ResNet-20 on 5,000 images of 16x16 pixels, 12 epochs without augmentation, density 0.738 %. CTS searches
with the task loss, from theta_1, for as long as the training. Rows, verdicts and environment go to
results/sanity_checks.json beside this script.

Found (differences in points, 95 % t-interval): a shuffled mask costs CTS 3.4 (1.1 to 5.8) and SNIP nothing
that shows (+1.6, -5.4 to +8.5: undecided); inverted scores cost CTS 33.5 and SNIP 30.0.
Machine: 2 cores of an AMD EPYC (AVX-512), one thread, torch 2.14.1.
Runs: seeds 0, 1 and 2.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment
from lottery_pipeline.reproducibility.files import write_atomically

PROJECT = Path(__file__).parents[2]
VARIANT = "bench_sanity"
PARAMS = {
    "data.image_size": 16,
    "data.train_limit": 5000,
    "data.validation_fraction": 0.02,
    "pretraining.epochs": 12,
    "pretraining.batch_size": 64,
    "pretraining.weight_decay": 0.001,
    "pretraining.warmup_epochs": 0,
    "pretraining.crop_padding": 0,
    "pretraining.flip": "false",
    "pretraining.rewind_epoch": 1,
    "cts.extraction.density": 0.00738,
    "cts.extraction.length": "long",
    "cts.extraction.objective": "task_loss",
    "snip.extraction.density": 0.00738,
    "sanity_checks.methods": "cts snip",
    "sanity_checks.checks": "shuffle inversion",
    "sanity_checks.seeds": "0 1 2",
}


def main() -> None:
    """Run the checks as a user would, and record what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "report"))
    parser.add_argument("--data", help="folder of the images")
    options = parser.parse_args()
    if options.action == "run":
        given = {**PARAMS, "variant": VARIANT, **({"data.root": options.data} if options.data else {})}
        params = ",".join(f"{name}={value}" for name, value in given.items())
        command = ["run", "--env", "image_folder", "--pipelines", "sanity_checks", "--params", params]
        subprocess.run([sys.executable, "-m", "kedro", *command], check=True, cwd=PROJECT)
    result = gather()
    path = Path(__file__).parent / "results" / "sanity_checks.json"
    write_atomically(path, (json.dumps(result, indent=1) + "\n").encode())
    for row in result["verdicts"]:
        print(row)


def gather() -> dict[str, Any]:
    """Put the verdicts and the rows of the run together."""
    place = Path("image_folder") / VARIANT
    with (PROJECT / "data/08_reporting" / place / "sanity_checks.csv").open(newline="") as file:
        verdicts = list(csv.DictReader(file))
    rows = json.loads((PROJECT / "data/07_model_output" / place / "sanity_rows.json").read_text())
    return {"environment": describe_environment(), "params": PARAMS, "verdicts": verdicts, "rows": rows}


if __name__ == "__main__":
    main()
