"""What attacks cost: PGD-20 as a cascade over eps, without it, and APGD-CE of pyautoattack, in turns.

    python -m benchmarks.robustness.speed [--repeats N] [--output FILE]

ResNet-20 trained on digits, its 359 test images, eps 4, 8, 16 and 24 of 255. *Whole*: PGD-20 on all images at
every eps, with every step on every image. *Cascade*: the same attack as the evaluation runs it; an image that
is fooled is attacked no further. *Predicted*: the time of whole, times the share of images that still stand
when an eps begins; images that fall on the way should make the cascade cheaper still. APGD-CE runs 100 steps
at 8/255. Beside them stand 20 bare forward and backward passes.

Found: the cascade takes 1.04 times what the images still standing predict (95 % interval 0.99 to 1.10; 351,
344, 326 and 251 of 359 stand) and 0.92 times the whole attack (0.88 to 0.98): on digits few images fall, so
it saves little. PGD is as fast as bare passes: 0.98 (0.89 to 1.11). APGD-CE takes 5.4 times as long as PGD-20
at one eps (5.1 to 6.1), for five times the steps. Processor seconds for 1,000 images: PGD-20 4.6 at one eps.
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, one thread, torch 2.14.1.
Runs: 5 turns of each, one network of seed 0.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.environment import describe_environment, write_report
from benchmarks.robustness.networks import train_network
from lottery_pipeline.images.balls import project, steepest
from lottery_pipeline.options.robustness import AutoAttackOptions
from lottery_pipeline.robustness.autoattack import autoattack
from lottery_pipeline.robustness.gradients import cross_entropy, differentiate, gradients_counted
from lottery_pipeline.robustness.pgd import pgd
from lottery_pipeline.robustness.threat import Threat

PROJECT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results" / "speed.json"
EPS = (4, 8, 16, 24)
STEPS = 20
ALLOWED = 1.2  # of what the images still standing predict


def attack_whole(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Run PGD on all images at every eps, every step on every image."""
    for value in EPS:
        threat, adversarial = Threat("Linf", value / 255), images
        for _ in range(STEPS):
            _, _, gradient = differentiate(model, adversarial, labels, cross_entropy)
            step = 2.5 * threat.eps / STEPS
            adversarial = project(
                adversarial + step * steepest(gradient, "Linf"), images, threat.norm, threat.eps
            )


def attack_in_cascade(model: nn.Module, images: Tensor, labels: Tensor) -> list[int]:
    """Run PGD at ascending eps on the images that stand; return how many do at the start of each."""
    with torch.no_grad():
        standing = (model(images).argmax(1) == labels).nonzero().squeeze(1)
    counts = []
    for value in EPS:
        counts.append(len(standing))
        if not len(standing):
            continue
        found = pgd(
            model,
            images[standing],
            labels[standing],
            Threat("Linf", value / 255),
            steps=STEPS,
            seed=0,
            indices=standing,
        )
        with torch.no_grad():
            standing = standing[model(found).argmax(1) == labels[standing]]
    return counts


def pass_bare(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Make as many forward and backward passes as PGD at one eps."""
    for _ in range(STEPS):
        differentiate(model, images, labels, cross_entropy)


def attack_with_apgd(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Run APGD-CE at 8/255."""
    options = AutoAttackOptions(parts=("apgd-ce",))
    autoattack(model, images, labels, Threat("Linf", 8 / 255), options=options, seed=0)


ATTACKS: dict[str, Callable[[nn.Module, Tensor, Tensor], object]] = {
    "bare": pass_bare,
    "whole": attack_whole,
    "cascade": attack_in_cascade,
    "apgd_ce": attack_with_apgd,
}


def describe_ratio(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Return the median ratio of paired times with its 95 % bootstrap interval."""
    ratios = first / second
    draws = np.random.default_rng(0).choice(ratios, size=(2000, len(ratios)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return {"ratio": float(np.median(ratios)), "low": float(low), "high": float(high)}


def main() -> None:
    """Measure in turns, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--work", type=Path, default=PROJECT / "data" / "work" / "robustness")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, images, labels = train_network("digits", given.work)
    gradients = {}
    for name in ("whole", "cascade"):
        with gradients_counted(model) as counter:
            ATTACKS[name](model, images, labels)
        gradients[name] = counter.gradients
    times: dict[str, list[float]] = {name: [] for name in ATTACKS}
    for _ in range(given.repeats):
        for name, attack in ATTACKS.items():
            began = time.process_time()
            attack(model, images, labels)
            times[name].append(time.process_time() - began)
    seconds = {name: np.array(values) for name, values in times.items()}
    standing = attack_in_cascade(model, images, labels)
    share = sum(standing) / (len(images) * len(EPS))
    against = describe_ratio(seconds["cascade"], seconds["whole"] * share)
    result: dict[str, Any] = {
        "images": len(images),
        "eps": [f"{value}/255" for value in EPS],
        "gradients": gradients,
        "standing": standing,
        "share_standing": share,
        "cascade_over_predicted": against,
        "holds": against["ratio"] <= ALLOWED,
        "cascade_over_whole": describe_ratio(seconds["cascade"], seconds["whole"]),
        "whole_over_bare": describe_ratio(seconds["whole"], len(EPS) * seconds["bare"]),
        "apgd_ce_over_whole_at_one_eps": describe_ratio(seconds["apgd_ce"], seconds["whole"] / len(EPS)),
        "cpu_seconds_per_1000_images": {
            name: float(np.median(values)) * 1000 / len(images) for name, values in seconds.items()
        },
        "rows": [{"attack": name, "cpu_seconds": values} for name, values in times.items()],
        "environment": describe_environment(),
    }
    for name, value in result.items():
        if name not in ("rows", "environment"):
            print(name, value)
    write_report(given.output, result)


if __name__ == "__main__":
    main()
