"""How long it takes to write a mark and to look for one, in every way and with the whole alignment.

    python -m benchmarks.ownership.speed

The masks are random, of density 5 %; neither network is trained, because reading does not depend on it. The
suspect has its channels permuted, so that the alignment has work to do.

Found: 0.7 s to read a ResNet-20 and 10 s to read a ResNet-18; 0.02 and 1.5 s to write.
Machine: 2 cores of an AMD EPYC with AVX-512, torch 2.14.1.
Runs: one of each network, in turns, after one to warm up.
"""

import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import describe_environment, write_report
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.ownership.attacks.equivalence import permute_
from lottery_pipeline.ownership.carriers import plan_groups
from lottery_pipeline.ownership.mask_code import Mark, read_mark, sign_masks
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.surgery.channels import find_known_groups

RESULTS = Path(__file__).parent / "results"
DENSITY, GROUPS = 0.05, 144


def measure(name: str) -> dict[str, Any]:
    """Write a mark into a network of random masks, permute it, and look for the mark."""
    spec = ModelSpec(
        name=name, num_classes=10, channels=3, image_size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3
    )
    model = build_model(spec, seed=0).eval()
    weights = {key: weight.detach().clone() for key, weight in prunable_parameters(model).items()}
    generator = make_generator(0, name)
    masks = {key: torch.rand(weight.shape, generator=generator) < DENSITY for key, weight in weights.items()}
    mark = Mark(bytes(range(32)), bytes(16), plan_groups(masks, GROUPS))
    began = time.perf_counter()
    signed = sign_masks(masks, mark, weights, weights).masks
    writing = time.perf_counter() - began
    with torch.no_grad():
        for key, mask in signed.items():
            model.get_parameter(key).mul_(mask)
    reference = {key: model.get_parameter(key).detach().clone() for key in signed}
    channels = find_known_groups(model)
    permute_(model, scope="all", generator=generator)
    suspect = {key: model.get_parameter(key).detach() for key in signed}
    began = time.perf_counter()
    found = read_mark(suspect, mark, signed, reference=reference, channels=channels)
    return {
        "network": name,
        "prunable": sum(weight.numel() for weight in weights.values()),
        "writing_seconds": writing,
        "reading_seconds": time.perf_counter() - began,
        "bits": found.bits,
        "decoded": found.decoded,
    }


def main() -> None:
    """Measure and record."""
    measure("resnet20")
    rows = [measure(name) for name in ("resnet20", "resnet18")]
    write_report(RESULTS / "speed.json", {"rows": rows, "environment": describe_environment()})
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
