"""Accuracy of layer tickets beside their dense parents, shallow networks and filter tickets.

    python -m benchmarks.layers.accuracy run digits --threads 1      # minutes
    python -m benchmarks.layers.accuracy run small --data FOLDER     # of train/<class>/* and test/<class>/*
    python -m benchmarks.layers.accuracy report small

Blocks are ranked at theta_0, go at once, and what is left starts from theta_0. ``shallow`` is the same
network with fresh weights: a ResNet of so many blocks per stage from scratch. ``filter`` is a network
without the least important filters that has as many filters, MACs or parameters as the layer ticket of its
criterion.

Every trained network leaves a row in data/work/layer_accuracy/. A run that was stopped resumes where it
was, and runs with other --seeds or --networks (once the dense networks are there, also with other
--criteria or --removed) can run side by side. `report` (done at the end of `run`, too) gathers the rows in
results/layer_accuracy_<setting>.json beside this script. Rows recorded there are not measured again; to
begin anew, remove the file and the folder.

Found, in setting `small` (points against the dense parent): ResNet-32 without 1 to 5 blocks -0.1 to -0.8,
and ResNet-56 without 12 blocks +1.0 ± 2.5 (SNIP) and +0.1 ± 2.5 (GraSP). No layer ticket loses a point in
the mean, but all are undecided at a margin of one point. In pairs, layer tickets are level with shallow
networks: 0.0 ± 1.5 (SNIP), -0.1 ± 1.2 (GraSP). On digits all networks are too good to be told apart.
Machine: 2 cores of an AMD EPYC (`small`: AVX2, `digits`: AVX-512), one thread, torch 2.14.1.
Runs: seeds 0, 1 and 2; ResNet-56 without 1 to 5 blocks: seed 0 alone.
"""

import argparse
import json
import logging
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import write_report
from benchmarks.layers.report import gather, render
from benchmarks.layers.settings import SETTINGS, Plan, Setting, dense_path, list_plans, seed_folder
from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.evaluation.metrics import evaluate_ticket
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.methods.filter.filter import extract_filter
from lottery_pipeline.methods.layer.layer import extract_layer
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import FilterOptions, LayerOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.measured import flatten_record
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.tickets import TicketError
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run

PROJECT = Path(__file__).parents[2]
WORK = PROJECT / "data" / "work" / "layer_accuracy"
RESULTS = Path(__file__).parent / "results"
MEASURED = (
    "test_accuracy",
    "dense_accuracy",
    "macs_dense",
    "macs_executed",
    "parameters_dense",
    "parameters_executed",
    "search_epochs",
    "search_seconds",
    "train_epochs",
    "train_seconds",
)


@dataclass(frozen=True)
class Parent:
    """What the tickets of one network and seed are made of."""

    setting: Setting
    images: ImageSplits
    dense: DenseRun
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
    parser.add_argument("--networks", nargs="+", help="of the setting's, all without it")
    parser.add_argument("--criteria", nargs="+", help="of the setting's, all without it")
    parser.add_argument("--removed", type=int, nargs="+", help="numbers of blocks, instead of the setting's")
    parser.add_argument("--threads", type=int, help="of torch; all cores without it")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.threads:
        torch.set_num_threads(options.threads)
    setting, work = SETTINGS[options.setting], WORK / options.setting
    for name, known in (("networks", setting.removed), ("criteria", setting.criteria)):
        if unknown := set(getattr(options, name) or ()) - set(known):
            parser.error(f"--{name} must be of {', '.join(known)}, not {', '.join(sorted(unknown))}")
    setting = replace(
        setting,
        seeds=tuple(options.seeds or setting.seeds),
        criteria=tuple(options.criteria or setting.criteria),
        removed={
            network: tuple(options.removed or setting.removed[network])
            for network in options.networks or setting.removed
        },
    )
    path = RESULTS / f"layer_accuracy_{options.setting}.json"
    restore(work, path)
    if options.action == "run":
        for seed in setting.seeds:
            for network in setting.removed:
                run(setting, network, seed, work, options.data, options.device)
    result = gather(options.setting, work)
    write_report(path, result)
    print(render(result))


def restore(work: Path, path: Path) -> None:
    """Put recorded rows back to where a run looks for them."""
    recorded = json.loads(path.read_text()) if path.exists() else {"rows": [], "dense": []}
    places = [(dense_path(work, row["network"], row["seed"]), row) for row in recorded["dense"]]
    names = [item.name for item in fields(Plan)]
    places += [(Plan(**{name: row[name] for name in names}).path(work), row) for row in recorded["rows"]]
    for place, row in places:
        if not place.exists():
            write_atomically(place, json.dumps(row).encode())


def run(setting: Setting, network: str, seed: int, work: Path, root: str | None, device: str) -> None:
    """Train what has no row yet of one network and seed."""
    missing = [plan for plan in list_plans(setting, network, seed) if not plan.path(work).exists()]
    if not missing and dense_path(work, network, seed).exists():
        return
    parent = prepare(setting, network, seed, work, root, device)
    for plan in missing:
        row = asdict(plan) | measure(parent, plan)
        write_atomically(plan.path(work), json.dumps(row).encode())
        parent.checkpoints.clear_used()
        name = plan.path(work).relative_to(work).with_suffix("")
        logging.info("%s: %s", name, row.get("refused") or f"{100 * row['test_accuracy']:.2f} %")


def prepare(setting: Setting, network: str, seed: int, work: Path, root: str | None, device: str) -> Parent:
    """Read the images, and train the dense network or read it."""
    stored = seed_folder(work, seed) / "images.safetensors"
    if not stored.exists():
        request = ImageRequest(**setting.images, **({"root": root} if root else {}))
        stored.parent.mkdir(parents=True, exist_ok=True)
        save_splits(prepare_images(request, seed=seed), stored)
    images = load_splits(stored)
    spec = ModelSpec(
        name=network,
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
    )
    path = dense_path(work, network, seed)
    weights, checkpoints = path.with_suffix(".safetensors"), Checkpoints(path.parent / "checkpoints")
    dense = pretrain(
        images,
        spec,
        setting.recipe,
        rewind_epoch=0,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        stored=load_dense_run(weights) if weights.exists() else None,
    )
    save_dense_run(dense, weights)
    model = build_model(spec, seed=0, device="meta")
    row = {
        "network": network,
        "seed": seed,
        "test_accuracy": dense.metrics["test_accuracy"],
        "macs": total_macs(count_macs(model, (images.channels, *images.image_size))),
        "train_epochs": dense.metrics["epochs"],
        "train_seconds": dense.metrics["seconds"],
    }
    write_atomically(path, json.dumps(row).encode())
    checkpoints.clear_used()
    return Parent(setting, images, dense, device, checkpoints)


def measure(parent: Parent, plan: Plan) -> dict[str, Any]:
    """Find a ticket, train it and evaluate it; a size that filters cannot reach leaves the reason instead."""
    try:
        found = extract(parent, plan)
    except TicketError as error:
        if plan.method != "filter":
            raise
        return {"refused": str(error)}
    trained = retrain_ticket(
        found.ticket,
        parent.images,
        parent.setting.recipe,
        seed=plan.seed,
        device=parent.device,
        checkpoints=parent.checkpoints,
        label=f"{plan.network} {plan.method} {plan.criterion} {plan.removed} retraining",
    )
    costs: dict[str, Any] = {**found.costs, **trained.costs}
    metrics = evaluate_ticket(
        trained.ticket,
        found.ticket,
        parent.images,
        parent.dense,
        history=trained.history,
        device=parent.device,
        **costs,
    )
    flat = flatten_record(metrics)
    blocks = list(found.ticket.header.spec.removed_blocks)
    return {name: flat[name] for name in MEASURED} | {"removed_blocks": blocks}


def extract(parent: Parent, plan: Plan) -> Extraction:
    """Find the ticket of a plan."""
    rewinding = "reinit" if plan.method == "shallow" else "weights"
    options = LayerOptions(criterion=(plan.criterion,), removed=plan.removed, rewinding=rewinding)
    about = (parent.images, parent.dense, parent.setting.recipe)
    layer = extract_layer(Search(*about, seed=plan.seed, device=parent.device), options)
    if plan.method != "filter":
        return layer
    return extract_filter(
        Search(*about, seed=plan.seed, device=parent.device, match=layer.ticket.header.spec),
        FilterOptions(criterion=plan.criterion, matching=plan.matching),
    )


if __name__ == "__main__":
    main()
