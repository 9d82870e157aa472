"""Are tickets more robust than dense networks? Methods beside their dense parent, over seeds.

    python -m benchmarks.robustness.tickets digits [--seeds 0 1 2]
    python -m benchmarks.robustness.tickets fashion --root FOLDER --jobs 2    # with FashionMNIST/raw in it
    python -m benchmarks.robustness.tickets cifar --root FOLDER --device cuda --jobs 6    # a folder of images

Every seed trains a dense ResNet-20, finds tickets in it (LTR, CTS, SNIP, an ERK random mask, layer), trains
them from the same start point, theta_k, with the same recipe, and measures all of them on the same images.
Beside them stand the largest weights of the trained network, fine-tuned at a tenth of the rate: what CARDs
(arXiv 2106.09129) says loses robustness under corruption where lottery tickets keep it. Everything is done
twice: with a plain recipe, and with an adversary (FGSM-RS), so that there is something to compare at 8/255.

Every finished network is kept in data/work/robustness/; a run that was stopped resumes. As seeds are
finished, rows and summary are written to results/tickets_fashion.json, or to that of the setting.

Found, in setting `fashion` (differences to the dense network of the same seed, in points, with 95 %
t-intervals): no ticket is clearly more robust to attacks than its dense network. Trained on clean images, at
4/255: LTR -6.5 +- 9.4, CTS -0.2 +- 6.5, SNIP +0.5 +- 6.3, random +5.7 +- 15.3, layer +0.6 +- 13.1,
fine-tuned -5.0 +- 4.9. Trained against the adversary, at 8/255: LTR +2.2 +- 2.4, the others within 1 point.
Under corruptions LTR is ahead of dense by 0.7 +- 0.4 and 1.1 +- 0.9, fine-tuned is not clearly behind (-0.8
+- 1.8, -0.2 +- 1.6); LTR is ahead of fine-tuned by 1.5 +- 1.7 and 1.2 +- 0.9, and on clean images by 1.9 +-
0.8 and 3.0 +- 1.6. Of 60 such differences 8 are clear, where chance alone gives 3.
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, one thread for each of two processes, torch
2.14.1.
Runs: seeds 0, 1 and 2; 400 attacked and 400 corrupted test images, 10,000 clean ones. 83 minutes in all. Two
of 42 networks failed one check of the evaluation (PGD with more steps fooled fewer images). Setting `cifar`
is sized for a card and has not been run.
"""

import argparse
import json
import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import describe_environment, write_report
from benchmarks.robustness.settings import SETTINGS, Setting
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods import METHODS
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.options import METHOD_OPTIONS
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.robustness.evaluation import evaluate_networks
from lottery_pipeline.robustness.seeds import summarise_seeds
from lottery_pipeline.robustness.subjects import collect_subjects
from lottery_pipeline.search.extraction import Search, StartPoint
from lottery_pipeline.sparsity.allocation import kept_count
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.statistics.intervals import t_interval
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import find_dense_run, save_dense_run
from lottery_pipeline.training.recipe import Recipe

PROJECT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
FINE_TUNED = "fine_tuned"
FINE_TUNING_RATE = 0.1  # of the rate of the recipe
METRICS = (
    *("accuracy", "robust_accuracy", "median_eps", "mean_corruption_error"),
    *("ece", "nll", "auroc", "fpr95_ood_positive"),
)
ROW_NAMES = ("method", "seed", "density", "family", "setting", "metric", "value")
ADVERSARIES: dict[str, dict[str, Any]] = {
    "standard": {},
    "adversarial": {"adversary": {"kind": "fgsm_rs", "eps": 8 / 255}},
}


def find_tickets(setting: Setting, search: Search) -> dict[str, tuple[Ticket, Recipe]]:
    """Find a ticket by every method; return each with the recipe it is trained with."""
    found: dict[str, tuple[Ticket, Recipe]] = {}
    for name, changes in setting.methods.items():
        density = {} if name == "layer" else {"density": setting.density}
        options = METHOD_OPTIONS[name].model_validate({**density, **changes})
        found[name] = (METHODS[name](search, options).ticket, search.recipe)
    final = search.build(search.dense.final)
    scores = {name: weight.detach().abs() for name, weight in prunable_parameters(final, ()).items()}
    kept = kept_count(setting.density, sum(score.numel() for score in scores.values()))
    masks = keep_top_k(scores, kept)
    ticket = search.make_ticket(FINE_TUNED, masks, StartPoint(0, search.dense.final))
    rate = FINE_TUNING_RATE * search.recipe.learning_rate
    found[FINE_TUNED] = (ticket, search.recipe.replace(learning_rate=rate))
    return found


def train_networks(
    setting: Setting, images: ImageSplits, kind: str, seed: int, device: str, folder: Path
) -> tuple[DenseRun, dict[str, Callable[[], Ticket]]]:
    """Train the dense network and the tickets found in it, or read what is finished."""
    recipe = setting.recipe.replace(**ADVERSARIES[kind])
    checkpoints = Checkpoints(folder / "checkpoints")
    dense = pretrain(
        images,
        setting.specify(images),
        recipe,
        rewind_epoch=setting.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        stored=find_dense_run(folder / "dense.safetensors"),
    )
    save_dense_run(dense, folder / "dense.safetensors")
    paths = {name: folder / f"{name}.safetensors" for name in (*setting.methods, FINE_TUNED)}
    if not all(path.exists() for path in paths.values()):
        search = Search(images, dense, recipe, seed, device=device, checkpoints=checkpoints)
        for name, (ticket, own) in find_tickets(setting, search).items():
            if not paths[name].exists():
                retrained = retrain_ticket(
                    ticket, images, own, seed=seed, device=device, checkpoints=checkpoints
                )
                retrained.ticket.save(paths[name])
    return dense, {name: partial(Ticket.load, path) for name, path in paths.items()}


def measure(name: str, kind: str, seed: int, device: str, work: Path, root: str | None) -> dict[str, Any]:
    """Measure the networks of one seed and one kind of training, or read what was measured."""
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {kind} {seed} %(message)s")
    setting = SETTINGS[name]
    folder = work / name / kind / f"seed_{seed}"
    finished = folder / "evaluation.json"
    if finished.exists():
        return dict(json.loads(finished.read_text()))
    images = setting.prepare(root)
    dense, tickets = train_networks(setting, images, kind, seed, device, folder)
    subjects = collect_subjects(dense, tickets, images, models=folder)
    checkpoints = Checkpoints(folder / "evaluation")
    found = evaluate_networks(
        subjects, images, setting.options, seed=0, device=device, checkpoints=checkpoints
    )
    found["environment"] = describe_environment()
    write_atomically(finished, json.dumps(found).encode())
    return found


def summarise(name: str, found: dict[tuple[int, str], dict[str, Any]]) -> dict[str, Any]:
    """Put what was measured into one record, in the order of seeds."""
    setting = SETTINGS[name]
    rows, summary, checks = [], [], []
    for kind in ADVERSARIES:
        own = {seed: one for (seed, other), one in sorted(found.items()) if other == kind}
        references = {
            network["method"]: network["reference"] for one in own.values() for network in one["networks"]
        }
        kept = [row for one in own.values() for row in one["rows"] if _is_kept(row)]
        rows += [{"training": kind, **{name: row[name] for name in ROW_NAMES}} for row in kept]
        summary += [{"training": kind, **line} for line in summarise_seeds(kept, references)]
        checks += [{"training": kind, "seed": seed, **c} for seed, one in own.items() for c in one["checks"]]
    return {
        "setting": name,
        "note": setting.note,
        "recipe": setting.recipe.record(),
        "adversary": ADVERSARIES["adversarial"],
        "density": setting.density,
        "methods": setting.methods,
        "options": setting.options.model_dump(mode="json"),
        "summary": summary,
        "lottery_against_fine_tuning": compare_with_fine_tuned(rows),
        "checks": [check for check in checks if not check["passed"]],
        "rows": rows,
        "environment": next(iter(found.values()))["environment"],
    }


def _is_kept(row: dict[str, Any]) -> bool:
    """Leave out single severities, other scores of strangers and further metrics: they are megabytes."""
    if row["family"] == "out_of_distribution" and not row["setting"].endswith("energy"):
        return False
    is_cell = row["family"] == "corruption" and row["setting"][-1].isdecimal()
    return row["metric"] in METRICS and not is_cell


def compare_with_fine_tuned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare the rewound ticket with the fine-tuned network of the same seed: what CARDs is about.

    Returns:
        For each training, family, setting and metric the mean difference with its 95 % t-interval.
    """
    values: dict[tuple[str, ...], dict[int, float]] = {}
    for row in rows:
        if row["method"] in ("ltr", FINE_TUNED) and row["value"] is not None:
            key = tuple(row[name] for name in ("method", "training", "family", "setting", "metric"))
            values.setdefault(key, {})[row["seed"]] = row["value"]
    lines = []
    for (method, *place), theirs in values.items():
        ours = values.get(("ltr", *place), {})
        paired = [ours[seed] - value for seed, value in theirs.items() if seed in ours]
        if method == FINE_TUNED and paired:
            found = t_interval(paired)
            names = dict(zip(("training", "family", "setting", "metric"), place, strict=True))
            lines.append({**names, "ltr_minus_fine_tuned": found.mean, "low": found.low, "high": found.high})
    return lines


def main() -> None:
    """Train what is not finished, measure, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setting", choices=tuple(SETTINGS))
    parser.add_argument("--root", help="folder of the images, for settings fashion and cifar")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--work", type=Path, default=PROJECT / "data" / "work" / "robustness")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found: dict[tuple[int, str], dict[str, Any]] = {}
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        start = partial(pool.submit, measure, given.setting)
        jobs = {
            start(kind, seed, given.device, given.work, given.root): (seed, kind)
            for seed in given.seeds
            for kind in ADVERSARIES
        }
        for job in as_completed(jobs):
            found[jobs[job]] = job.result()
            result = summarise(given.setting, found)
            write_report(given.output or RESULTS / f"tickets_{given.setting}.json", result)
    for line in result["summary"]:
        print(line)


if __name__ == "__main__":
    main()
