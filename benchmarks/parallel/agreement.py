"""How far the processes of a data-parallel training are from one process: ResNet-20 on digits.

    torchrun --nproc-per-node 2 -m benchmarks.parallel.agreement

starts `python -m benchmarks.parallel.agreement` twice. Process 0 computes everything alone, and then again
together with the other: a training, a round of late rewinding and a search of CTS, in float32 and float64;
and the training with batch norm left to each process. The yardstick for float32 is one process with one
thread against the same with two. The largest difference of a weight or a buffer (of a logit in the search) is
printed, and written to results/agreement.json beside this script, with the environment.

Found, with two processes: in float64 at most 1.5e-11 after 20 steps, and 4.9e-14 in the training; with batch
norm by process, 1.8. In float32 the training is 5.5e-2 off after 5 steps, and 5.1e-2 with one thread against
two: a value crosses the kink of a ReLU, and from there on they part.
Machine: 2 cores of an AMD EPYC (AVX-512), one thread for each process, torch 2.14.1.
Runs: one seed; a CPU computes the same again.
"""

from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.environment import describe_environment, write_report
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.cts.cts import ConcreteLearner
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import CtsOptions
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.mask_search import learn_scores
from lottery_pipeline.training import run
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.parallel import call, follow, joined
from lottery_pipeline.training.ranks import read_ranks
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import State

STEPS = {torch.float32: 5, torch.float64: 20}
RECIPE = Recipe(
    iterations=20, batch_size=128, learning_rate=0.1, weight_decay=5e-4, flip=True, crop_padding=1
)
SEARCH = Recipe(iterations=20, batch_size=128, learning_rate=0.1, optimiser="adam")
DENSITY, FIRST_STEP = 0.2, 9
YARDSTICK = "training, one process with one thread against two", "float32"


class Doubled(nn.Module):
    """A network that computes in float64.

    Args:
        network: float32.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.network(images.double())
        return logits


def make_network(images: ImageSplits, dtype: torch.dtype) -> nn.Module:
    """Draw a ResNet-20."""
    spec = ModelSpec(
        name="resnet20",
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
    )
    network = build_model(spec, seed=0)
    return Doubled(network) if dtype == torch.float64 else network


def teach(images: ImageSplits, dtype: torch.dtype, first: int = 0) -> State:
    """Train for the steps of the number type, masked if it is not from the start; return the state."""
    network = make_network(images, dtype)
    masks = {
        name: torch.rand(weight.shape, generator=make_generator(0, name)) < DENSITY
        for name, weight in prunable_parameters(network).items()
    }
    recipe = RECIPE.replace(iterations=first + STEPS[dtype])
    return train(
        network, images, recipe, seed=0, device="cpu", start_step=first, masks=masks if first else None
    ).state


def search(images: ImageSplits, dtype: torch.dtype) -> State:
    """Search by CTS for the steps of the number type; return the logits."""
    function = partial(
        learn_scores,
        make_learner=partial(ConcreteLearner, CtsOptions(density=DENSITY)),
        ignore_layers=(),
        affine=True,
        seed=0,
        method="cts",
        device=torch.device("cpu"),
        fingerprint="",
    )
    recipe = SEARCH.replace(iterations=STEPS[dtype])
    return call(function, images, make_network(images, dtype), recipe)[0]


def teach_unsynced(images: ImageSplits) -> State:
    """Train with batch norm left to each process."""
    unsynced = patch.object(run, "synced_norms", lambda: patch.dict({}))
    with unsynced, patch.object(run, "check_equal"):  # the running statistics differ
        return teach(images, torch.float64)


def measure(images: ImageSplits) -> dict[tuple[str, str], State]:
    """Compute all that is compared."""
    found = {}
    for dtype in STEPS:
        kind = str(dtype).removeprefix("torch.")
        found["training", kind] = teach(images, dtype)
        found["round of ltr", kind] = teach(images, dtype, FIRST_STEP)
        found["search of cts", kind] = search(images, dtype)
    found["training, batch norm by process", "float64"] = call(teach_unsynced, images)
    return found


def main() -> None:
    """Compare, and record what came out."""
    ranks = read_ranks()
    if ranks is None:
        raise SystemExit("This is started by torchrun, see above.")
    if ranks.rank:
        with joined(ranks):
            follow()
        return
    torch.set_num_threads(1)
    images = prepare_images(ImageRequest(source="digits"), seed=0)
    alone = measure(images)
    with joined(ranks):
        together = measure(images)
    torch.set_num_threads(2)
    alone[YARDSTICK] = alone["training", "float32"]
    together[YARDSTICK] = teach(images, torch.float32)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = [
        {
            "what": what,
            "precision": kind,
            "steps": STEPS[getattr(torch, kind)],
            "largest_difference": max(
                float((together[what, kind][name].double() - tensor.double()).abs().max())
                for name, tensor in state.items()
            ),
        }
        for (what, kind), state in alone.items()
    ]
    for row in rows:
        print(f"{row['what']:<50} {row['precision']} {row['steps']:>3} {row['largest_difference']:.1e}")
    result = {"processes": ranks.world, "rows": rows, "environment": describe_environment()}
    write_report(Path(__file__).parent / "results" / "agreement.json", result)


if __name__ == "__main__":
    main()
