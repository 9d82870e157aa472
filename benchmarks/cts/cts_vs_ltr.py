"""Concrete Ticket Search against rewinding and the saliency methods, at equal density and recipe.

    python -m benchmarks.cts.cts_vs_ltr run digits                   # minutes; what `make bench-cts` does
    python -m benchmarks.cts.cts_vs_ltr run converged --data FOLDER  # of train/<class>/* and test/<class>/*
    python -m benchmarks.cts.cts_vs_ltr report converged

Every trained network leaves a row in data/work/cts_vs_ltr/. A run that was stopped resumes where it was,
and runs with other --seeds or --methods can run side by side. `report` (done at the end of `run`, too)
gathers the rows in results/cts_vs_ltr_<setting>.json beside this script: means and 95 % t-intervals over
seeds, differences to rewinding at the same density and start, and what each ticket cost. Rows recorded
there are not measured again; to begin anew, remove the file.

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
import logging
from pathlib import Path

import torch

from benchmarks.cts.plans import PLANS
from benchmarks.cts.report import gather, render
from benchmarks.cts.rows import STARTS, restore
from benchmarks.cts.settings import SETTINGS
from benchmarks.cts.task import WORK, prepare
from benchmarks.environment import write_report


def main() -> None:
    """Run a setting, or report what has been run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "report"))
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("--data", help="folder of the images")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of the setting's")
    parser.add_argument("--methods", nargs="+", choices=PLANS, default=list(PLANS))
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--rungs", type=int, nargs="+", help="instead of the setting's")
    parser.add_argument("--threads", type=int, help="of torch; all cores without it")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.threads:
        torch.set_num_threads(options.threads)
    setting = SETTINGS[options.setting]
    path = Path(__file__).parent / "results" / f"cts_vs_ltr_{options.setting}.json"
    restore(options.setting, path)
    if options.action == "run":
        for seed in options.seeds or setting.seeds:
            task = prepare(options.setting, seed, options.data, options.device, options.rungs)
            for method in options.methods:
                for start in options.starts:
                    PLANS[method](task, method, start)
    result = gather(options.setting, WORK)
    write_report(path, result)
    print(render(result))


if __name__ == "__main__":
    main()
