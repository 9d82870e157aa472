"""The claim of Concrete Ticket Search in its own setting, a few minutes of a card at a time.

    python -m benchmarks.published --data FOLDER --out FOLDER --budget SECONDS [--device cuda] [--jobs N]
    python -m benchmarks.published --data FOLDER --out FOLDER --budget SECONDS --setting mean_loss
    python -m benchmarks.published --data FOLDER --out FOLDER --dry-run
    python -m benchmarks.published --smallest --out FOLDER
    python -m benchmarks.published prepare --data FOLDER --out FILE
    python -m benchmarks.published report --out FOLDER [--output FILE]

ResNet-20, CIFAR-10, recipe `tlab`; see README.md beside this file. The rows that are worth most come first.
Each lies in the folder as soon as it is there; a call that was stopped, or has spent its budget, is resumed
by the next one.
"""

import argparse
import logging
import time
from functools import partial
from pathlib import Path

BEGAN = time.monotonic()  # before torch is imported: start-up counts


def main() -> None:
    """Run, prepare or report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", nargs="?", choices=("run", "prepare", "report"), default="run")
    parser.add_argument("--data", type=Path, help="images: a folder, or the file that `prepare` has made")
    parser.add_argument("--out", type=Path, required=True, help="folder of rows and checkpoints")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds, start-up included")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="rows at once; their seconds are shared then")
    parser.add_argument("--setting", default="published", help="a variant, see settings.py")
    parser.add_argument("--smallest", action="store_true", help="a few digits and epochs, on a CPU")
    parser.add_argument("--dry-run", action="store_true", help="print rows, epochs and minutes")
    parser.add_argument("--output", type=Path, help="JSON file of the report")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.action in ("run", "prepare") and not (options.data or options.smallest or options.dry_run):
        parser.error("--data is missing: the images")
    if options.action == "prepare":
        _prepare(options)
    elif options.action == "report":
        _report(options)
    elif options.dry_run:
        _show_plan(options)
    else:
        _run(options)


def _prepare(options: argparse.Namespace) -> None:
    from benchmarks.published.images import find_files, pack_files

    files = find_files(options.data)
    size = pack_files(files, options.out)
    print(
        f"{options.out}: {files.train} training images, {len(files.labels) - files.train} test images, "
        f"{size / 2**20:.1f} MiB"
    )


def _run(options: argparse.Namespace) -> None:
    from benchmarks.published.opening import make_measure, open_study
    from benchmarks.published.plan import find_need, order_rows
    from benchmarks.published.work import work_through
    from benchmarks.published.workers import share_rows, start_workers

    several = options.jobs > 1
    workers = start_workers(options.jobs, partial(make_measure, options, BEGAN)) if several else []
    study, budget = open_study(options, BEGAN)
    rows = order_rows(study.setting)
    if several:
        done = share_rows(rows, study.has_row, partial(find_need, study.setting), workers)
    else:
        done = work_through(rows, study.has_row, study.measure, budget)
    _report(options)
    print("All rows are there." if done else "Call it again with the same --out for the rest.")


def _report(options: argparse.Namespace) -> None:
    import json

    from benchmarks.environment import write_report
    from benchmarks.published.opening import RESULTS
    from benchmarks.published.report import gather, render
    from benchmarks.published.settings import SETTINGS

    identity = json.loads((options.out / "study.json").read_text())
    name = identity["name"]
    result = gather(name, SETTINGS[name], options.out, identity)
    if options.action == "report" or options.output:
        write_report(options.output or RESULTS / f"{name}.json", result)
    print(render(result))


def _show_plan(options: argparse.Namespace) -> None:
    from benchmarks.published.estimate import describe_plan, measure_rates
    from benchmarks.published.opening import choose_setting
    from benchmarks.published.plan import order_rows
    from benchmarks.published.store import find_rows, row_path
    from lottery_pipeline.training.device import pick_device

    _, setting = choose_setting(options)
    rows = order_rows(setting)
    finished = {row for row in rows if row_path(options.out, row).exists()}
    # A card can be planned for on a machine without one.
    kind = pick_device("auto").type if options.device == "auto" else options.device.partition(":")[0]
    rates, measured = measure_rates(setting, find_rows(options.out), kind)
    print(describe_plan(setting, rows, finished, rates, measured=measured))


main()
