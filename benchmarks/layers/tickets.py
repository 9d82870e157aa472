"""What a layer ticket saves: ResNet-56 without 12 blocks beside the dense network, in one run, taking turns.

    python -m benchmarks.layers.tickets [--threads N] [--repeats N] [--device NAME] [--output FILE]

CIFAR shapes (3x32x32, 10 classes), noise for images. Three tickets, since the stage that blocks are taken
from makes no difference to the MACs, but one to the time: ``even`` lacks four blocks of each stage,
``snip`` and ``grasp`` what the criterion removes at theta_0 of seed 0 (on 100 images of noise; SNIP takes
more of the last stage, GraSP of the first). Timed are training steps (forward, backward, SGD) at batch
128, in bfloat16 too where the processor has it, and inference at batch 1 and 128; no other work should run
meanwhile. The result is written to results/layer_tickets.json beside this script.

Found, at a MAC ratio of 1.819: training steps 1.73 to 1.96 times as fast in float32 and 1.68 to 1.88 times
in bfloat16, inference 1.67 to 1.94 times at batch 128 and 1.75 to 2.02 times at batch 1. MACs saved are
within 0.03 points of the published ones, but for one row that looks like a misprint.
Machine: 2 cores of an AMD EPYC (AVX-512), two threads, torch 2.14.1.
Runs: 30 timed turns of each network, weights of seed 0.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from benchmarks.environment import describe_environment
from benchmarks.layers.savings import RESNET56_12, SHAPE, count_savings, render_savings, specify
from lottery_pipeline.costs.carbon import estimate_carbon
from lottery_pipeline.costs.latency import measure_latency
from lottery_pipeline.costs.machine import wait_for
from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.costs.sizes import count_parameters
from lottery_pipeline.costs.training_flops import count_training_macs
from lottery_pipeline.methods.layer.criteria import score_blocks
from lottery_pipeline.methods.layer.removal import without_blocks
from lottery_pipeline.methods.layer.selection import choose_blocks, order_blocks, plan_removal
from lottery_pipeline.models.blocks import list_candidates, stage_sizes
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import LayerOptions
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training.device import has_bfloat16, keep_freed_memory, pick_device
from lottery_pipeline.training.evaluation import autocast
from lottery_pipeline.training.recipe import Precision

REMOVED, BATCH = 12, 128
LEAST = 0.9  # of the MAC ratio that the speed-up at batch 128 is to reach
STEPS = 200 * 391  # 200 epochs of 50,000 images at batch 128
POWER_WATTS, COUNTRY = 100.0, "WORLD"
CARBON_NOTE = (
    "modelled, not measured: with constant power the saving of CO2 is the saving of time, "
    "1 - t_ticket / t_dense, whatever the power and the country"
)


def choose_tickets() -> dict[str, ModelSpec]:
    """Return the specification of the dense network and of the tickets, by name."""
    dense = specify("resnet56")
    model = build_model(dense, seed=0)
    blocks = list_candidates(model)
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand((100, *SHAPE), generator=generator), torch.arange(100) % 10
    specs = {"dense": dense}
    even = [block.name for block in blocks if block.name.endswith((".5", ".6", ".7", ".8"))]
    specs["even"] = without_blocks(dense, even)
    for criterion in ("snip", "grasp"):
        scores = score_blocks(criterion, model, [block.name for block in blocks], images, labels, seed=0)
        demand = plan_removal(model, LayerOptions(criterion=(criterion,), removed=REMOVED), SHAPE)
        gone = choose_blocks(order_blocks(blocks, [scores]), stage_sizes(model), demand)
        specs[criterion] = without_blocks(dense, gone)
    return specs


def count(spec: ModelSpec) -> dict[str, Any]:
    """Return what a network consists of."""
    model = build_model(spec, seed=0, device="meta")
    return {
        "blocks": list(stage_sizes(model).values()),
        "macs": total_macs(count_macs(model, SHAPE)),
        "training_macs": count_training_macs(model, SHAPE),
        "parameters": count_parameters(model),
        "removed_blocks": list(spec.removed_blocks),
    }


def make_step(spec: ModelSpec, precision: Precision, device: torch.device) -> Callable[[], None]:
    """Return a function that makes a training step of a network, always on the same images."""
    model = build_model(spec, seed=0, device=device).train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand((BATCH, *SHAPE), generator=generator).to(device, memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,), generator=generator).to(device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with autocast(device, precision):
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimiser.step()

    return step


def take_turns(
    steps: Mapping[str, Callable[[], None]], repeats: int, device: torch.device
) -> dict[str, NDArray[np.float64]]:
    """Return the seconds of each turn by name; who begins rotates, and three turns before are not counted."""
    names, times = list(steps), np.empty((len(steps), repeats))
    for turn in range(-3, repeats):
        for place in range(len(names)):
            chosen = (turn + place) % len(names)
            started = time.perf_counter()
            steps[names[chosen]]()
            wait_for(device)
            if turn >= 0:
                times[chosen, turn] = time.perf_counter() - started
    return dict(zip(names, times, strict=True))


def compare_steps(times: Mapping[str, NDArray[np.float64]]) -> Iterator[dict[str, Any]]:
    """Yield medians, quartiles and speed-ups over the first; the bootstrap draws the same turns for all."""
    dense = next(iter(times.values()))
    random = np.random.default_rng(derive_seed(0, "bootstrap"))
    drawn = random.integers(len(dense), size=(2000, len(dense)))
    for name, own in times.items():
        resampled = np.median(dense[drawn], axis=1) / np.median(own[drawn], axis=1)
        low, high = np.percentile(resampled, [2.5, 97.5])
        lower, median, upper = np.percentile(own, [25, 50, 75])
        seconds = {"median_seconds": median, "lower_seconds": lower, "upper_seconds": upper}
        speedup = {"speedup": np.median(dense) / median, "speedup_low": low, "speedup_high": high}
        yield {"model": name, "batch_size": BATCH, **{k: float(v) for k, v in (seconds | speedup).items()}}


def measure(specs: Mapping[str, ModelSpec], repeats: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """Yield a row per task, precision, batch size and network."""
    precisions: tuple[Precision, ...] = ("float32", "bfloat16") if has_bfloat16(device) else ("float32",)
    for precision in precisions:
        steps = {name: make_step(spec, precision, device) for name, spec in specs.items()}
        for row in compare_steps(take_turns(steps, repeats, device)):
            yield {"task": "training step", "precision": precision, **row}
        del steps
    models = {name: build_model(spec, seed=0, device=device) for name, spec in specs.items()}
    report = measure_latency(models, SHAPE, batch_sizes=(1, BATCH), repeats=repeats, warmup=10, seed=0)
    for row in report.record()["rows"]:
        yield {"task": "inference", "precision": "float32", **row}


def judge(row: dict[str, Any], networks: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Add to a ticket's row the speed-up by the MAC ratio, and of a training the modelled carbon."""
    ratio = networks["dense"]["macs"] / networks[row["model"]]["macs"]
    ends = ("", "_low", "_high")
    judged = row | {f"speedup{end} / mac_ratio": row[f"speedup{end}"] / ratio for end in ends}
    if row["batch_size"] == BATCH:
        judged["reached"] = judged["speedup / mac_ratio"] >= LEAST
    if row["task"] == "training step":
        seconds = (row["median_seconds"] * row["speedup"] * STEPS, row["median_seconds"] * STEPS)
        dense, ticket = (estimate_carbon(s, power_watts=POWER_WATTS, country=COUNTRY) for s in seconds)
        judged["carbon"] = {
            "grams_dense": dense.grams,
            "grams_ticket": ticket.grams,
            "hours_dense": dense.seconds / 3600,
            "hours_ticket": ticket.seconds / 3600,
            "saving": 1 - ticket.grams / dense.grams,
            "saving_low": 1 - 1 / row["speedup_low"],
            "saving_high": 1 - 1 / row["speedup_high"],
        }
    return judged


def render(result: dict[str, Any]) -> str:
    """Lay the result out as Markdown."""
    macs = {name: network["macs"] for name, network in result["networks"].items()}
    lines = [
        f"{name}: blocks {network['blocks']}, {network['macs']:,} MACs, {network['parameters']:,} "
        f"parameters, MAC ratio {macs['dense'] / network['macs']:.3f}"
        for name, network in result["networks"].items()
    ]
    lines += [
        "",
        "| task | precision | batch | ticket | dense s | own s | speed-up | speed-up / MAC ratio |",
    ]
    lines += ["|---" * 8 + "|"]
    for row in result["rows"]:
        own = row["median_seconds"]
        parts = [f"{row[f'speedup{end} / mac_ratio']:.3f}" for end in ("", "_low", "_high")]
        lines.append(
            f"| {row['task']} | {row['precision']} | {row['batch_size']} | {row['model']} "
            f"| {own * row['speedup']:.4f} | {own:.4f} "
            f"| {row['speedup']:.3f} [{row['speedup_low']:.3f}, {row['speedup_high']:.3f}] "
            f"| {parts[0]} [{parts[1]}, {parts[2]}]{' reached' if row.get('reached') else ''} |"
        )
    lines += ["", f"CO2 of 200 epochs at {POWER_WATTS:g} W, {COUNTRY}, {CARBON_NOTE}"]
    for row in result["rows"]:
        if carbon := row.get("carbon"):
            lines.append(
                f"- {row['precision']}, {row['model']}: {carbon['grams_dense']:.0f} g in "
                f"{carbon['hours_dense']:.2f} h -> {carbon['grams_ticket']:.0f} g in "
                f"{carbon['hours_ticket']:.2f} h, saving {100 * carbon['saving']:.1f} % "
                f"[{100 * carbon['saving_low']:.1f}, {100 * carbon['saving_high']:.1f}]"
            )
    published = (
        f"published for ResNet-56 without 12 blocks, on other hardware: training "
        f"{RESNET56_12['speedup']:.2f} times as fast, CO2 saving {RESNET56_12['co2']:.2f} %"
    )
    return "\n".join([*lines, published, "", *render_savings(result["savings"])])


def main() -> None:
    """Measure and count, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, help="of torch; all cores without it")
    parser.add_argument("--repeats", type=int, default=30, help="timed turns")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "layer_tickets.json"
    )
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()  # as in training
    specs = choose_tickets()
    networks = {name: count(spec) for name, spec in specs.items()}
    rows = [row for row in measure(specs, options.repeats, device) if row["model"] != "dense"]
    result = {
        "environment": describe_environment(),
        "device": str(device),
        "repeats": options.repeats,
        "least speedup / mac_ratio at batch 128": LEAST,
        "carbon": {"power_watts": POWER_WATTS, "country": COUNTRY, "steps": STEPS, "note": CARBON_NOTE},
        "published": RESNET56_12,
        "networks": networks,
        "rows": [judge(row, networks) for row in rows],
        "savings": list(count_savings()),
    }
    write_atomically(options.output, (json.dumps(result, indent=1) + "\n").encode())
    print(render(result))


if __name__ == "__main__":
    main()
