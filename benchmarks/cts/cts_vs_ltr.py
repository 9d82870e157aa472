"""Concrete Ticket Search against rewinding and the saliency methods, at equal density and recipe.

    python -m benchmarks.cts.cts_vs_ltr run digits                   # minutes; what `make bench-cts` does
    python -m benchmarks.cts.cts_vs_ltr run converged --data FOLDER  # of train/<class>/* and test/<class>/*
    python -m benchmarks.cts.cts_vs_ltr report converged

Every trained network leaves a row in data/work/cts_vs_ltr/. A run that was stopped resumes where it was,
and runs with other --seeds or --methods can run side by side. `report` (done at the end of `run`, too)
gathers the rows in results/cts_vs_ltr_<setting>.json beside this script: means and 95 % t-intervals over
seeds, differences to rewinding at the same density and start, and what each ticket cost. Rows recorded
there are not measured again; to begin anew, remove the file.

Found, in setting `converged` at a density of 0.738 % (test accuracy in percent, dense 47.0 ± 1.0): `ltr`
47.6 ± 1.7, CTS from theta_k 42.7 ± 1.5 (reverse KL) and 43.5 ± 1.0 (task loss), CTS from theta_0
41.3 ± 3.1 and 42.3 ± 3.2, the highest of five saliency methods (GraSP, from theta_0) 41.5 ± 1.8. `ltr`
cost 13.4 times the epochs of CTS with reverse KL. The saliency methods have run from theta_0 alone, so CTS
and `ltr` from theta_k are not like with like beside them; they will be measured again from one start.
Machine: 2 cores of an AMD EPYC, torch 2.14.1; `torch_init_16` and `torch_init_32`: NVIDIA H200, torch
2.11.0.
Runs: seeds 0, 1 and 2 of `converged`, `torch_init_16` and `torch_init_32` (`ltr` there: two seeds); seeds
0 and 1 of `small`; seed 0 of the other settings.
"""

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.cts.report import LADDERS, gather, render
from benchmarks.cts.settings import RATE, SETTINGS, Setting
from benchmarks.environment import write_report
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSplits, load_splits, save_splits
from lottery_pipeline.methods import METHODS
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import (
    CtsOptions,
    GraspOptions,
    ImpOptions,
    RandomOptions,
    SaliencyOptions,
    StartOptions,
    SynflowOptions,
)
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.sparsity.shuffling import shuffle_masks
from lottery_pipeline.tickets import Ticket
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.result import OnLabelledRecord

PROJECT = Path(__file__).parents[2]
WORK = PROJECT / "data" / "work" / "cts_vs_ltr"
STARTS = ("initial", "rewind")


@dataclass(frozen=True)
class Task:
    """One seed of a setting: where its rows lie, and what its networks are made of."""

    setting: Setting
    folder: Path
    images: ImageSplits
    dense: DenseRun
    seed: int
    device: str
    checkpoints: Checkpoints = field(repr=False)


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


def restore(name: str, path: Path) -> None:
    """Put recorded rows back to where a run looks for them."""
    recorded = json.loads(path.read_text()) if path.exists() else {"rows": [], "dense": []}
    for run in recorded["dense"]:
        place = WORK / name / f"seed{run['seed']}" / "dense.json"
        if not place.exists():
            write_atomically(place, json.dumps(run).encode())
    for row in recorded["rows"]:
        method = "ladder" if row["method"] in LADDERS.values() else row["method"]
        place = WORK / name / f"seed{row['seed']}" / f"{method}_{row['start']}_{row['rung']:02d}.json"
        if not place.exists():
            write_atomically(place, json.dumps(row).encode())


def prepare(name: str, seed: int, root: str | None, device: str, rungs: list[int] | None) -> Task:
    """Read the images, and train the dense network or read it."""
    setting, folder = SETTINGS[name], WORK / name / f"seed{seed}"
    setting = replace(setting, rungs=tuple(rungs)) if rungs else setting
    stored, dense_path = folder / "images.safetensors", folder / "dense.safetensors"
    if not stored.exists():
        folder.mkdir(parents=True, exist_ok=True)
        request = ImageRequest(**setting.images, **({"root": root} if root else {}))
        save_splits(prepare_images(request, seed=seed), stored)
    images = load_splits(stored)
    spec = ModelSpec(
        name=setting.model,
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
    )
    checkpoints = Checkpoints(folder / "checkpoints")
    dense = pretrain(
        images,
        spec,
        setting.recipe,
        rewind_epoch=setting.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        stored=load_dense_run(dense_path) if dense_path.exists() else None,
        allow_factory=setting.factory,
    )
    save_dense_run(dense, dense_path)
    if not (folder / "dense.json").exists():
        record = {
            "seed": seed,
            "test_accuracy": dense.metrics["test_accuracy"],
            "validation_curve": [row["validation_accuracy"] for row in dense.history],
        }
        if setting.doubled:
            longer = pretrain(
                images,
                spec,
                setting.recipe.replace(epochs=2 * (setting.recipe.epochs or 1)),
                rewind_epoch=setting.rewind_epoch,
                seed=seed,
                device=device,
                checkpoints=checkpoints,
                allow_factory=setting.factory,
            )
            record["test_accuracy_twice_the_epochs"] = longer.metrics["test_accuracy"]
        write_atomically(folder / "dense.json", json.dumps(record).encode())
    checkpoints.clear_used()
    return Task(setting, folder, images, dense, seed, device, checkpoints)


# The methods ------------------------------------------------------------------------------------------------


def climb(task: Task, method: str, start: str) -> None:
    """Prune by magnitude round by round; every rung that is looked at is a row, as soon as it is trained."""
    last = max(task.setting.rungs)
    if row_path(task, method, start, last).exists():
        return
    costs = {"search_epochs": 0.0, "search_seconds": 0.0}  # of the rungs before

    def record(kind: str, row: dict[str, Any]) -> None:
        if kind == "ladder":
            if row["rung"] in task.setting.rungs:
                result = {"test_accuracy": row["test_accuracy"], "kept": row["kept"], **costs}
                trained = {"train_epochs": row["epochs"], "train_seconds": row["seconds"]}
                save_row(task, method, start, row["rung"], {**result, **trained})
            for unit in ("epochs", "seconds"):
                costs[f"search_{unit}"] += row[unit]

    found = extract(task, LADDERS[start], ImpOptions(rounds=last, rate=RATE), record)
    train(task, method, start, last, found.ticket, costs)


def search(objective: str) -> Callable[[Task, str, str], None]:
    """Make the plan of a CTS objective: one search for each density."""

    def plan(task: Task, method: str, start: str) -> None:
        for rung in task.setting.rungs:
            options = CtsOptions(
                density=density_of(rung),
                start=start,
                objective=objective,
                length=task.setting.length,
                precision=task.setting.recipe.precision,
            )
            find_and_train(task, method, start, rung, "cts", options)

    return plan


def score(name: str, make_options: Callable[..., Any], **options: Any) -> Callable[[Task, str, str], None]:
    """Make the plan of a method without training, at initialisation, as published."""

    def plan(task: Task, method: str, start: str) -> None:
        if start == "initial":
            for rung in task.setting.rungs:
                chosen = make_options(density=density_of(rung), start=start, **options)
                find_and_train(task, method, start, rung, name, chosen)

    return plan


PLANS: dict[str, Callable[[Task, str, str], None]] = {
    "cts_kl": search("kl_reverse"),
    "cts_l": search("task_loss"),
    "snip": score("snip", SaliencyOptions),
    "snip_1000": score("snip", SaliencyOptions, images_per_class=100),
    "grasp": score("grasp", GraspOptions),
    "synflow": score("synflow", SynflowOptions),
    "magnitude": score("magnitude", StartOptions),
    "random": score("random", RandomOptions, allocation="uniform"),
    "random_erk": score("random", RandomOptions, allocation="erk"),
    "ladder": climb,
}


def density_of(rung: int) -> float:
    """Return 0.8^r with as many digits as it takes to keep floor(0.8^r D) weights."""
    return round((1 - RATE) ** rung, 12)


def extract(task: Task, name: str, options: Any, on_record: OnLabelledRecord | None = None) -> Extraction:
    """Find a ticket."""
    return METHODS[name](
        Search(
            task.images,
            task.dense,
            task.setting.recipe,
            seed=task.seed,
            device=task.device,
            checkpoints=task.checkpoints,
            on_record=on_record,
            allow_factory=task.setting.factory,
        ),
        options,
    )


def find_and_train(task: Task, method: str, start: str, rung: int, name: str, options: Any) -> None:
    """Find a ticket and train it, unless its row is there."""
    if not row_path(task, method, start, rung).exists():
        found = extract(task, name, options)
        if task.setting.shuffled and method == "cts_l":  # first: the ticket's own row says that all is done
            train(task, f"{method}_shuffled", start, rung, shuffle(task, found.ticket), found.costs)
        train(task, method, start, rung, found.ticket, found.costs)


def shuffle(task: Task, ticket: Ticket) -> Ticket:
    """Shuffle a ticket's mask inside each layer; its weights are those of the dense run."""
    return make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=shuffle_masks(ticket.masks, seed=task.seed, how="layer"),
        state=task.dense.rewind if ticket.header.rewind_step else task.dense.initial,
        seed=task.seed,
        rewind_step=ticket.header.rewind_step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents=ticket.header.parents,
        allow_factory=task.setting.factory,
    )


def train(task: Task, method: str, start: str, rung: int, ticket: Ticket, costs: dict[str, float]) -> None:
    """Train a ticket, measure it, and leave its row."""
    trained = retrain_ticket(
        ticket,
        task.images,
        task.setting.recipe,
        seed=task.seed,
        device=task.device,
        checkpoints=task.checkpoints,
        label=f"{method} {start} {rung} retraining",
    )
    place = pick_device(task.device)
    accuracy = evaluate(trained.ticket.build(), task.images.test, device=place)["accuracy"]
    row = {"test_accuracy": accuracy, "kept": ticket.kept, **costs, **trained.costs}
    save_row(task, method, start, rung, row)
    task.checkpoints.clear_used()


def row_path(task: Task, method: str, start: str, rung: int) -> Path:
    """Return where the row of one trained network lies."""
    return task.folder / f"{method}_{start}_{rung:02d}.json"


def save_row(task: Task, method: str, start: str, rung: int, row: dict[str, Any]) -> None:
    """Leave a row: method, start, rung, density, accuracies and costs."""
    name = {"ladder": LADDERS[start]}.get(method, method)
    known = {
        "method": name,
        "start": start,
        "seed": task.seed,
        "rung": rung,
        "density": row["kept"] / task.dense.metrics["prunable"],
        "prunable": task.dense.metrics["prunable"],
        "dense_accuracy": task.dense.metrics["test_accuracy"],
    }
    write_atomically(row_path(task, method, start, rung), json.dumps({**known, **row}).encode())
    logging.info("%s %s rung %d: %.2f %%", name, start, rung, 100 * row["test_accuracy"])


if __name__ == "__main__":
    main()
