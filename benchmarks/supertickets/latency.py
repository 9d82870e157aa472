"""Latency of shrunk networks beside their supernet, taking turns, with the ratio of multiply-accumulates.

    python -m benchmarks.supertickets.latency [--repeats N] [--threads N] [--output FILE]

`digits8`: a SuperTicket found on 8x8 digits (setting `digits`, seed 0). `cifar`: the supernet for 32x32
colour images, whose training takes hours on a CPU; units are removed by rule, the most expensive first, until
40 % of the multiply-accumulates are left, so kernels and blocks vanish. Weights do not change a latency.

Timed are, in turns: the supernet; the supernet with 90 % of its weights set to 0, which saves nothing; the
shrunk network; and the shrunk network with as many dead channels as make its widths multiples of 16. All but
the second compute the same function: the units that go have scale 0 in the supernet. The greatest difference
of their outputs is recorded. Engines are torch and onnxruntime, at batch 1 and 128; no other work should run
meanwhile.

Found: where blocks vanish (`cifar`, 9 of 24, MAC ratio 2.50) the shrunk network is 2.49 times as fast in
torch at batch 128 (95 % interval 2.37 to 2.74), 3.02 times at batch 1 (1.91 to 4.61), and in onnxruntime 2.81
(2.69 to 3.07) and 2.95 times (2.63 to 3.18). Where every block only gets narrower (`digits8`, MAC ratio 1.46)
it is no faster: in torch 1.08 times (1.00 to 1.15) and 1.02, in onnxruntime 0.39 times (0.28 to 0.54) and
0.79, slower than the supernet: widths that are no multiple of 16 leave its blocked layout. Rounded up to
multiples of 16 (MAC ratio 1.08) it is 1.09 times as fast (0.79 to 1.39). Zeros save nothing: 0.98 to 1.11
times. Outputs of supernet and shrunk network differ by 3e-7 at most, where zeros change them by 0.4.
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, one thread, torch 2.14.1.
Runs: 30 timed turns of each network; one search, seed 0.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.environment import describe_environment
from benchmarks.supertickets.settings import SETTINGS
from lottery_pipeline.costs.latency import measure_latency
from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.costs.unit_macs import unit_macs
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.methods.supertickets import extract_supertickets
from lottery_pipeline.models.choice import specify_model
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.layout import lay_out
from lottery_pipeline.models.supernet.units import find_units
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.surgery.units import keep_units, slice_tensors
from lottery_pipeline.tickets.onnx import export_onnx
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import pretrain
from lottery_pipeline.training.evaluation import recompute_batchnorm_

BATCHES = (1, 128)
BUDGET = 0.4  # of the multiply-accumulates of the cifar supernet
MULTIPLE = 16  # onnxruntime lays channels out in blocks of so many
SPARSE = 0.1  # of the weights that are not set to 0, to show that zeros save nothing
Keep = dict[str, Tensor]


class OnnxNetwork(nn.Module):
    """A network that onnxruntime runs, timed like one of torch."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.place = nn.Parameter(torch.zeros(1))  # where the images are put

    def __deepcopy__(self, _: Any) -> "OnnxNetwork":
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return what onnxruntime computes."""
        (outputs,) = self.session.run(None, {"images": images.contiguous().numpy()})
        return torch.from_numpy(outputs)


def find_digits() -> tuple[ModelSpec, Keep]:
    """Search a SuperTicket on digits; return the whole supernet and the units that are left of it."""
    setting = SETTINGS["digits"]
    images = setting.prepare()
    spec = setting.specify(images)
    dense = pretrain(
        images, spec, setting.recipe.replace(epochs=1), rewind_epoch=0, seed=0, device="cpu"
    )  # only its theta_0 is used
    found = extract_supertickets(Search(images, dense, setting.recipe, 0, device="cpu"), setting.options)
    left = {group.name: group.size for group in find_units(found.ticket.build())}
    # Which units they are makes no difference to the time.
    keep = {
        group.name: torch.arange(group.size) < left.get(group.name, 0)
        for group in find_units(build_model(spec, seed=0))
    }
    return spec, keep


def cut_cifar() -> tuple[ModelSpec, Keep]:
    """Remove the most expensive units of the cifar supernet until the budget is met."""
    spec = specify_model(
        "supernet:cifar",
        ignore_layers=(),
        num_classes=10,
        channels=3,
        image_size=(32, 32),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )
    model = build_model(spec, seed=0)
    groups, macs = find_units(model), unit_macs(model, (3, 32, 32))
    keep = {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups}
    for group in sorted(groups, key=lambda group: -macs[group.name] / group.size):
        surplus = total_macs(count_macs(build_model(keep_units(spec, keep), seed=0), (3, 32, 32)))
        surplus -= BUDGET * total_macs(count_macs(model, (3, 32, 32)))
        if surplus <= 0:
            break
        price = macs[group.name] / group.size
        keep[group.name] = torch.arange(group.size) >= min(group.size, -(-surplus // price))
    return spec, keep


def round_up(keep: Keep) -> Keep:
    """Keep as many dead channels as make each width a multiple of 16, or all there are."""
    rounded = dict(keep)
    for name, kept in keep.items():
        if not name.endswith(".attention") and bool(kept.any()):
            missing = -int(kept.sum()) % MULTIPLE
            rounded[name] = kept | ((~kept).cumsum(0) <= missing)
    return rounded


def build(spec: ModelSpec, keep: Keep) -> dict[str, Ticket]:
    """Return supernet, sparse supernet and shrunk networks as tickets of density 1."""
    model, generator = build_model(spec, seed=0), make_generator(0, "latency")
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for group in find_units(model):
            weights[group.gamma].mul_(keep[group.name])
    # Statistics that fit the weights: with those of a fresh network the signal would die out on its way.
    noise = torch.randint(0, 256, (32, spec.channels, *spec.image_size), generator=generator)
    labels = torch.zeros(32, dtype=torch.int64)
    recompute_batchnorm_(model, ImageSet(noise.to(torch.uint8), labels), batches=1, batch_size=32)
    state = model.state_dict()
    sparse = {
        name: state[name] * (torch.rand(weight.shape, generator=generator) < SPARSE)
        for name, weight in prunable_parameters(model).items()
    }
    shrunk = {"shrunk": keep, "rounded": round_up(keep)}
    return {
        "supernet": as_ticket(spec, state),
        "90 % zeros": as_ticket(spec, state | sparse),
        **{
            name: as_ticket(keep_units(spec, units), slice_tensors(state, spec, units))
            for name, units in shrunk.items()
        },
    }


def as_ticket(spec: ModelSpec, state: Mapping[str, Tensor]) -> Ticket:
    """Return a network as a ticket without a mask."""
    weights = prunable_parameters(build_model(spec, seed=0))
    return make_ticket(
        method="supertickets",
        spec=spec,
        masks={name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in weights.items()},
        state=state,
        seed=0,
        rewind_step=0,
        parents={},
    )


def measure(name: str, tickets: Mapping[str, Ticket], repeats: int, threads: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each engine, batch size and network."""
    spec = tickets["supernet"].header.spec
    shape = (spec.channels, *spec.image_size)
    macs = {key: total_macs(count_macs(ticket.build(), shape)) for key, ticket in tickets.items()}
    images = torch.rand((8, *shape), generator=make_generator(0, "outputs"))
    with tempfile.TemporaryDirectory() as folder:
        engines = {
            "torch": {key: ticket.build().eval() for key, ticket in tickets.items()},
            "onnxruntime": {
                key: OnnxNetwork(export_onnx(ticket, Path(folder) / f"{number}.onnx"), threads)
                for number, (key, ticket) in enumerate(tickets.items())
            },
        }
        for engine, networks in engines.items():
            with torch.no_grad():
                outputs = {key: network(images) for key, network in networks.items()}
            differences = {
                key: float((own - outputs["supernet"]).abs().max()) for key, own in outputs.items()
            }
            report = measure_latency(
                networks, shape, batch_sizes=BATCHES, repeats=repeats, threads=threads, seed=0
            )
            for row in report.record()["rows"]:
                ratio = macs["supernet"] / macs[row["model"]]
                yield {
                    "supernet": name,
                    "engine": engine,
                    **row,
                    "macs": macs[row["model"]],
                    "mac_ratio": ratio,
                    "output_difference": differences[row["model"]],
                    "output_scale": float(outputs["supernet"].std()),
                }


def describe(spec: ModelSpec, keep: Keep) -> dict[str, Any]:
    """Return what is left of the blocks."""
    blocks = lay_out(spec.supernet, spec.image_size, keep_units(spec, keep).architecture)
    groups = [kept for name, kept in keep.items() if not name.endswith(".attention")]
    return {
        "blocks": len(blocks),
        "blocks_gone": sum(not block.hidden and not block.tokens for block in blocks.values()),
        "blocks_without_kernels": sum(not block.hidden for block in blocks.values()),
        "groups": len(groups),
        "groups_gone": sum(not bool(kept.any()) for kept in groups),
        "units": sum(len(kept) for kept in groups),
        "units_left": sum(int(kept.sum()) for kept in groups),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=30, help="timed turns")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "latency.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows, networks = [], {}
    for name, choose in (("digits8", find_digits), ("cifar", cut_cifar)):
        spec, keep = choose()
        networks[name] = describe(spec, keep)
        rows += measure(name, build(spec, keep), given.repeats, given.threads)
    result = {
        "repeats": given.repeats,
        "networks": networks,
        "rows": rows,
        "environment": describe_environment(),
    }
    write_atomically(given.output, (json.dumps(result, indent=1) + "\n").encode())
    for row in rows:
        print(
            f"{row['supernet']:8s} {row['engine']:12s} batch {row['batch_size']:3d} {row['model']:11s} "
            f"{1000 * row['median_seconds']:8.2f} ms, {row['speedup']:.2f} times as fast "
            f"({row['speedup_low']:.2f} to {row['speedup_high']:.2f}), MAC ratio {row['mac_ratio']:.2f}, "
            f"outputs differ by {row['output_difference']:.1e}"
        )


if __name__ == "__main__":
    main()
