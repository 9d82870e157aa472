"""How large the file of a ticket is in version 1 and version 2 of the format, beside what it must hold.

    python -m benchmarks.tickets.sizes [--rounds N] [--output FILE]

The networks have fresh weights and classify 3x32x32 pixels into 10 classes; masks keep the k greatest of
random numbers or of the weights' magnitudes, over all layers together. What a file must hold is 4 bytes for
every kept weight and every other number, and the entropy of a mask of that density. The limit is 1.2 times
that and 4,000 bytes. The result is written to results/sizes.json beside this script.

Found: with a random mask a ticket of ResNet-20 shrinks from 83 to 39 kB at 1.8 % density and from 72 to 25 kB
at 0.74 %. All files are at 0.76 to 0.83 of the limit. Random masks take 1.01 to 1.02 times their entropy,
magnitude masks 0.55 to 0.93 times as much, because some layers keep more than others. ResNet-50 at 1.8 %
(23.5 million weights): from 5.1 to 2.5 MB; it is saved in 0.1 s and loaded in 0.2 s.
Machine: 2 cores of an AMD EPYC (AVX-512), one thread, torch 2.14.1, shared with others.
Runs: seed 0; seconds are processor time, the median of 5 rounds.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from benchmarks.environment import describe_environment
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity import keep_top_k
from lottery_pipeline.tickets.mask_coding import encode_mask
from lottery_pipeline.tickets.ticket import Ticket, make_ticket

CASES = (*(("resnet20", density) for density in (1.0, 0.168, 0.018, 0.0074)), ("resnet50", 0.018))
SCORES: dict[str, Callable[[str, Tensor], Tensor]] = {
    "random": lambda name, weight: torch.rand(weight.shape, generator=make_generator(0, name)),
    "magnitude": lambda _name, weight: weight.abs(),
}


def draw_ticket(name: str, density: float, masks: str) -> Ticket:
    """Return an untrained ticket; ``masks`` says what is kept."""
    spec = ModelSpec(
        name=name, num_classes=10, channels=3, image_size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3
    )
    model = build_model(spec, seed=0)
    weights = {layer: weight.detach() for layer, weight in prunable_parameters(model).items()}
    scores = {layer: SCORES[masks](layer, weight) for layer, weight in weights.items()}
    k = round(density * sum(weight.numel() for weight in weights.values()))
    return make_ticket(
        method="magnitude" if masks == "magnitude" else "random",
        spec=spec,
        masks=keep_top_k(scores, k=k),
        state=model.state_dict(),
        seed=0,
        rewind_step=0,
        parents={"dense": "0" * 64, "images": "1" * 64},
    )


def measure_case(name: str, density: float, masks: str, rounds: int) -> dict[str, Any]:
    """Return the sizes of a ticket in bytes, and the processor seconds of saving and loading it."""
    ticket = draw_ticket(name, density, masks)
    entropy = -sum(p * math.log2(p) for p in (ticket.density, 1 - ticket.density) if p) * ticket.prunable / 8
    others = sum(tensor.numel() for layer, tensor in ticket.state.items() if layer not in ticket.masks)
    needed = 4 * ticket.kept + entropy + 4 * others
    before, after = (len(ticket.with_version(version).to_bytes()) for version in (1, 2))
    saving, loading = [], []
    with TemporaryDirectory() as folder:
        for _ in range(rounds):
            start = time.process_time()
            ticket.save(f"{folder}/ticket")
            saved = time.process_time()
            Ticket.load(f"{folder}/ticket")
            saving.append(saved - start)
            loading.append(time.process_time() - saved)
    return {
        "model": name,
        "masks": masks,
        "density": round(ticket.density, 4),
        "kept": ticket.kept,
        "prunable": ticket.prunable,
        "other_numbers": others,
        "before": before,
        "after": after,
        "needed": round(needed),
        "limit": round(1.2 * needed + 4000),
        "after / limit": round(after / (1.2 * needed + 4000), 3),
        "mask": {
            "before": sum(-(-mask.numel() // 8) for mask in ticket.masks.values()),
            "after": sum(len(encode_mask(mask.reshape(-1).numpy())) for mask in ticket.masks.values()),
            "entropy": round(entropy),
        },
        "save_seconds": round(median(saving), 4),
        "load_seconds": round(median(loading), 4),
    }


def main() -> None:
    """Measure all cases and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "sizes.json")
    options = parser.parse_args()
    result: dict[str, Any] = {"environment": describe_environment(), "rounds": options.rounds, "rows": []}
    for name, density in CASES:
        for masks in SCORES:
            result["rows"].append(measure_case(name, density, masks, options.rounds))
            print(json.dumps(result["rows"][-1]))
    write_atomically(options.output, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
