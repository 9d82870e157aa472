"""Concrete Ticket Search against rewinding and the saliency methods, at equal density and recipe.

    python -m benchmarks.cts_vs_ltr run digits                   # minutes; what `make bench-cts` does
    python -m benchmarks.cts_vs_ltr run converged --data FOLDER  # of train/<class>/* and test/<class>/*
    python -m benchmarks.cts_vs_ltr report converged

Every trained network leaves a row in data/work/cts_vs_ltr/; a run that was stopped goes on where it was, and
runs with other --seeds or --methods can go side by side. `report` (done at the end of `run`, too) gathers the
rows in benchmarks/results/cts_vs_ltr_<setting>.json: means and 95 % t-intervals over seeds, differences to
rewinding at the same density and start, and what each ticket cost.
"""

import argparse
import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import describe_environment
from lottery_pipeline.files import write_atomically
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSplits, load_splits, save_splits
from lottery_pipeline.intervals import t_interval
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
from lottery_pipeline.tickets import METHODS, Extraction, Ticket
from lottery_pipeline.tickets.retraining import retrain_ticket
from lottery_pipeline.training.checkpoints import Checkpoints
from lottery_pipeline.training.dense import DenseRun, load_dense_run, pretrain, save_dense_run
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.recipe import Recipe

PROJECT = Path(__file__).parents[1]
WORK = PROJECT / "data" / "work" / "cts_vs_ltr"
RATE = 0.2  # rung r keeps 0.8^r
RUNGS = (6, 14, 18, 22, 26)
CIFAR = {"optimiser": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-3, "flip": True}


@dataclass(frozen=True)
class Setting:
    """Images, recipe and rewind point of one part of the study.

    Attributes:
        images: request for the images; ``root`` comes from the command line.
        recipe: of every training.
        rewind_epoch: k of theta_k; theta_0 is the other start.
        length: of the mask search.
        seeds: of the runs.
        rungs: densities 0.8^r that are looked at.
        note: what there is to know about it.
    """

    images: dict[str, Any]
    recipe: Recipe
    rewind_epoch: float
    length: str | int
    seeds: tuple[int, ...]
    note: str
    rungs: tuple[int, ...] = RUNGS


SETTINGS = {
    "digits": Setting(
        images={"source": "digits"},
        recipe=Recipe(
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
            epochs=16,
            batch_size=64,
            crop_padding=1,
        ),
        rewind_epoch=1,
        length="half",
        seeds=(0,),
        note="the images and the recipe of the default experiment: too easy to rank methods",
    ),
    "converged": Setting(
        images={
            "source": "image_folder",
            "image_size": 8,
            "channels": 3,
            "train_limit": 2000,
            "validation_fraction": 0.02,
        },
        recipe=Recipe(
            **CIFAR, schedule="cosine", epochs=40, batch_size=64, crop_padding=1, crop_mode="reflect"
        ),
        rewind_epoch=2.5,
        length="half",
        seeds=(0, 1, 2),
        note="2,000 CIFAR-10 images of 8x8 pixels, 40 epochs",
    ),
    "undertrained": Setting(
        images={"source": "image_folder", "channels": 3, "train_limit": 5000},
        recipe=Recipe(
            **CIFAR,
            schedule="cosine",
            epochs=15,
            batch_size=128,
            crop_padding=4,
            crop_mode="reflect",
            precision="bfloat16",
        ),
        rewind_epoch=1,
        length=20,
        seeds=(0,),
        note="5,000 CIFAR-10 images of 32x32 pixels, 15 epochs, search of 20 epochs: far from converged",
    ),
    "large": Setting(
        images={"source": "image_folder", "image_size": 16, "channels": 3, "train_limit": 15000},
        recipe=Recipe(
            **CIFAR,
            schedule="cosine",
            epochs=24,
            batch_size=128,
            crop_padding=2,
            crop_mode="reflect",
            precision="bfloat16",
        ),
        rewind_epoch=1,
        length=24,
        seeds=(0,),
        note="15,000 CIFAR-10 images of 16x16 pixels, 24 epochs, search of 24 epochs: between the two",
    ),
}
STARTS = ("initial", "rewind")
LADDERS = {"initial": "lth", "rewind": "ltr"}


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
    parser.add_argument("--threads", type=int, help="of torch; all cores without it")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.threads:
        torch.set_num_threads(options.threads)
    setting = SETTINGS[options.setting]
    if options.action == "run":
        for seed in options.seeds or setting.seeds:
            task = prepare(options.setting, seed, options.data, options.device)
            for method in options.methods:
                for start in options.starts:
                    PLANS[method](task, method, start)
    result = gather(options.setting)
    path = PROJECT / "benchmarks" / "results" / f"cts_vs_ltr_{options.setting}.json"
    write_atomically(path, (json.dumps(result, indent=1) + "\n").encode())
    print(render(result))


def prepare(name: str, seed: int, root: str | None, device: str) -> Task:
    """Read the images, and train the dense network or read it."""
    setting, folder = SETTINGS[name], WORK / name / f"seed{seed}"
    stored, dense_path = folder / "images.safetensors", folder / "dense.safetensors"
    if not stored.exists():
        folder.mkdir(parents=True, exist_ok=True)
        request = ImageRequest(**setting.images, **({"root": root} if root else {}))
        save_splits(prepare_images(request, seed=seed), stored)
    images = load_splits(stored)
    spec = ModelSpec(
        name="resnet20",
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
    )
    save_dense_run(dense, dense_path)
    checkpoints.clear_used()
    return Task(setting, folder, images, dense, seed, device, checkpoints)


# The methods ------------------------------------------------------------------------------------------------


def climb(task: Task, method: str, start: str) -> None:
    """Prune by magnitude round by round; every rung that is looked at is a row."""
    last = max(task.setting.rungs)
    if row_path(task, method, start, last).exists():
        return
    found = extract(task, LADDERS[start], ImpOptions(rounds=last, rate=RATE))
    ladder = found.ladder
    assert ladder is not None
    for rung in task.setting.rungs:
        before = ladder.rows[:rung]
        costs = {f"search_{unit}": sum(row[unit] for row in before) for unit in ("epochs", "seconds")}
        if rung == last:
            train(task, method, start, rung, ladder.ticket(rung), costs)
        else:
            row = ladder.rows[rung]
            result = {"test_accuracy": row["test_accuracy"], "kept": row["kept"], **costs}
            trained = {"train_epochs": row["epochs"], "train_seconds": row["seconds"]}
            save_row(task, method, start, rung, {**result, **trained})
    task.checkpoints.clear_used()


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
    "grasp": score("grasp", GraspOptions),
    "synflow": score("synflow", SynflowOptions),
    "magnitude": score("magnitude", StartOptions),
    "random": score("random", RandomOptions, allocation="uniform"),
    "ladder": climb,
}


def density_of(rung: int) -> float:
    """Return 0.8^r with as many digits as it takes to keep floor(0.8^r D) weights."""
    return round((1 - RATE) ** rung, 12)


def extract(task: Task, name: str, options: Any) -> Extraction:
    """Find a ticket."""
    return METHODS[name](
        task.images,
        task.dense,
        task.setting.recipe,
        seed=task.seed,
        options=options,
        device=task.device,
        checkpoints=task.checkpoints,
    )


def find_and_train(task: Task, method: str, start: str, rung: int, name: str, options: Any) -> None:
    """Find a ticket and train it, unless its row is there."""
    if not row_path(task, method, start, rung).exists():
        found = extract(task, name, options)
        train(task, method, start, rung, found.ticket, found.costs)


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
    accuracy = evaluate(trained.ticket.build(), task.images.test)["accuracy"]
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


# The report -------------------------------------------------------------------------------------------------


def gather(name: str) -> dict[str, Any]:
    """Put all rows of a setting together, and summarise them over seeds."""
    setting = SETTINGS[name]
    folders = sorted((WORK / name).glob("seed*"))
    rows = [json.loads(path.read_text()) for folder in folders for path in sorted(folder.glob("*.json"))]
    runs = [load_dense_run(folder / "dense.safetensors") for folder in folders]
    return {
        "setting": name,
        "note": setting.note,
        "environment": describe_environment(),
        "images": setting.images,
        "recipe": setting.recipe.record(),
        "rewind_epoch": setting.rewind_epoch,
        "search_length": setting.length,
        "seeds": [run.seed for run in runs],
        "dense_accuracy": summarise([run.metrics["test_accuracy"] for run in runs]),
        "dense_curve": [[row["validation_accuracy"] for row in run.history] for run in runs],
        "summary": list(summarise_rows(rows)),
        "rows": rows,
    }


def summarise_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row per method, start and rung: accuracy, difference to the ladder, ratio of costs."""
    groups: dict[tuple[str, str, int], dict[int, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["start"], row["rung"]), {})[row["seed"]] = row
    for (method, start, rung), by_seed in sorted(groups.items(), key=lambda item: (item[0][1:], item[0][0])):
        ladder = groups.get((LADDERS[start], start, rung), {})
        pairs = [(row, ladder[seed]) for seed, row in by_seed.items() if seed in ladder]
        summary = {
            "method": method,
            "start": start,
            "rung": rung,
            "density": next(iter(by_seed.values()))["density"],
            "test_accuracy": summarise([row["test_accuracy"] for row in by_seed.values()]),
        }
        if pairs and method != LADDERS[start]:
            gains = [row["test_accuracy"] - other["test_accuracy"] for row, other in pairs]
            summary["minus_ladder"] = summarise(gains)
            for unit in ("epochs", "seconds"):
                ratios = [cost(other, unit) / cost(row, unit) for row, other in pairs]
                summary[f"ladder_cost_ratio_{unit}"] = math.exp(sum(map(math.log, ratios)) / len(ratios))
        yield summary


def cost(row: dict[str, Any], unit: str) -> float:
    """Return search and training together, beyond the start point."""
    return row[f"search_{unit}"] + row[f"train_{unit}"]


def summarise(values: list[float]) -> dict[str, Any]:
    """Return mean, bounds of the 95 % t-interval (None for one seed) and the values."""
    interval = t_interval(values)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "values": values}


def render(result: dict[str, Any]) -> str:
    """Lay the summary out as Markdown: accuracies in percent, differences in points."""
    lines = [f"{result['setting']}: {result['note']}", f"dense {show(result['dense_accuracy'])} %", ""]
    columns = (
        "start",
        "density %",
        "method",
        "accuracy",
        "minus ladder",
        "ladder's cost / its own: epochs, s",
    )
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in result["summary"]:
        gain = show(row["minus_ladder"]) if "minus_ladder" in row else ""
        ratios = [row.get(f"ladder_cost_ratio_{unit}") for unit in ("epochs", "seconds")]
        costs = ", ".join(f"{ratio:.1f}" for ratio in ratios if ratio is not None)
        place = f"{row['start']} | {100 * row['density']:.3f} | {row['method']}"
        lines.append(f"| {place} | {show(row['test_accuracy'])} | {gain} | {costs} |")
    return "\n".join(lines)


def show(summary: dict[str, Any]) -> str:
    """Write mean and half-width in hundredths."""
    half = "" if summary["low"] is None else f" ± {50 * (summary['high'] - summary['low']):.2f}"
    return f"{100 * summary['mean']:.2f}{half}"


if __name__ == "__main__":
    main()
