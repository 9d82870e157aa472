"""The price of a ticket: what it takes to run, and what it took to find and to train.

Three kinds of arithmetic are never merged: *dense* is the full network, *theoretical* what would be left if
every pruned weight could be skipped, *executed* what really runs: the compacted network, which lacks what the
masks have made dead. Times are measured, carbon is modelled. Measured values, and values computed from
them, stand apart in ``measured``; everything else is the same in every run.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lottery_pipeline.costs.carbon import Carbon, estimate_carbon
from lottery_pipeline.costs.energy_tracker import track_energy
from lottery_pipeline.costs.latency import measure_latency
from lottery_pipeline.costs.ledger import Ledger, Stage, training_macs
from lottery_pipeline.costs.memory import forward_memory
from lottery_pipeline.costs.profile import profile_costs
from lottery_pipeline.costs.training_flops import count_training_macs
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.normalisation import normalises_by_batch
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import CostOptions
from lottery_pipeline.reproducibility.measured import set_apart
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.surgery.compact import compact_ticket
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.evaluation import modes_restored
from lottery_pipeline.training.history import CLOCK_COLUMNS


class Effort(NamedTuple):
    """Something that led to a ticket.

    Attributes:
        stage: of the ledger.
        name: what was done.
        epochs: epochs-equivalent.
        seconds: time taken.
        macs: multiply-accumulates, if they are not those of the ticket's own network.
    """

    stage: Stage
    name: str
    epochs: float
    seconds: float
    macs: int | None = None


_WATCHED_SECONDS = 3.0


def price_ticket(
    trained: Ticket,
    dense: DenseRun,
    images: ImageSplits,
    work: Sequence[Effort],
    options: CostOptions | None = None,
    *,
    device: torch.device,
) -> dict[str, Any]:
    """Return what a trained ticket costs.

    Args:
        trained: compacted before it is counted and timed.
        dense: its dense parent, which it is compared with.
        images: gives the shape of an image and the number of training images.
        work: each thing that led to it; counted at the size of the ticket's own network, unless it says
            otherwise: the dense one for masks, the smaller one within a layer ticket.
        options: what is measured and what carbon is computed from; None only counts.
        device: where forward passes are timed.

    Returns:
        ``macs_*``, ``parameters_*`` and ``bytes_*`` of ``profile_costs``; ``layer_costs``, its table;
        ``search_macs`` and ``train_macs`` with ``ledger``, the rows that they are sums of; and ``measured``
        with the seconds of these rows and, with options, ``latency`` (rows and environment),
        ``latency_ms_<batch>`` and ``speedup_<batch>`` against the dense network (but not of a single image
        if batch norm needs two), ``co2_grams`` of search and training with ``carbon``, which says how it was
        obtained. ``peak_memory_bytes`` at the largest batch is there if an allocator gave it, and among the
        computed numbers if it is modelled.
    """
    shape = (images.channels, *images.image_size)
    compacted = compact_ticket(trained)
    own, full = trained.build(), _build_dense(dense, trained.allow_factory)
    profile = profile_costs(full, own, trained.masks, shape)
    shipped = compacted.build()
    executed = profile_costs(full, shipped, compacted.masks, shape)
    step = count_training_macs(own, shape)
    ledger = Ledger()
    for effort in work:
        macs = effort.macs
        if macs is None:
            macs = training_macs(effort.epochs, len(images.train), step)
        ledger = ledger.add(
            effort.stage, effort.name, epochs=effort.epochs, seconds=effort.seconds, macs=macs
        )
    price: dict[str, Any] = {
        "macs_dense": profile["macs_dense"],
        "macs_theoretical": profile["macs_theoretical"],
        "macs_executed": executed["macs_executed"],
        "parameters_dense": profile["parameters_dense"],
        "parameters_executed": executed["parameters_executed"],
        "bytes_dense": profile["bytes_dense"],
        "bytes_executed": executed["bytes_executed"],
        "search_macs": ledger.total("search").macs,
        "train_macs": ledger.total("training").macs,
        "layer_costs": [
            row | {"macs": other["macs"]}
            for row, other in zip(profile["layers"], executed["layers"], strict=True)
        ],
        "ledger": ledger.record(),
    }
    measured: dict[str, Any] = {}
    if options is not None and options.latency:
        networks = {"dense": full.to(device), "ticket": shipped.to(device)}
        measured |= _time(networks, shape, dense, options)
        largest = max(options.batch_sizes if _takes_one_image(full, shape) else (2, *options.batch_sizes))
        for key, network in (("peak_memory_bytes", shipped), ("peak_memory_bytes_dense", full)):
            peak = forward_memory(network, shape, largest)
            (measured if peak.kind == "measured" else price)[key] = peak.peak_bytes
    if options is not None and options.reports_carbon:
        carbon = _estimate_carbon(ledger.total().seconds, own.to(device), shape, options)
        measured |= {"co2_grams": carbon.grams, "carbon": carbon.record()}
    return set_apart(price | measured, {*measured, *CLOCK_COLUMNS})


def _build_dense(dense: DenseRun, allow_factory: str | None) -> nn.Module:
    network = build_model(dense.spec, seed=0, allow_factory=allow_factory)
    network.load_state_dict(dense.final)
    return network


def _estimate_carbon(
    seconds: float, model: nn.Module, shape: tuple[int, int, int], options: CostOptions
) -> Carbon:
    """Multiply the seconds by a power: the given one, or what codecarbon sees while the network works."""
    place: dict[str, Any] = options.model_dump(include={"country", "carbon_intensity", "pue"})
    power, source = options.power_watts, "given"
    if options.tracker == "codecarbon":
        images = torch.rand(max(options.batch_sizes), *shape, device=next(model.parameters()).device)
        _, watched = track_energy(partial(_work, model.eval(), images), power_watts=power, **place)
        power = watched.power_watts
        source = f"{watched.power_source}, over {watched.seconds:.0f} s of forward passes"
    if power is None:
        raise ValueError("the estimate of carbon needs costs.power_watts, the mean power in watts")
    return estimate_carbon(seconds, power_watts=power, power_source=source, **place)


def _work(model: nn.Module, images: Tensor) -> None:
    ends = time.monotonic() + _WATCHED_SECONDS
    with torch.inference_mode():
        while time.monotonic() < ends:
            model(images)


def _takes_one_image(model: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether a network runs on a single image: not where batch norm has one number and no statistics."""
    if not normalises_by_batch(model):
        return True
    images = torch.zeros(1, *shape, device=next(model.parameters()).device)
    try:
        with modes_restored(model), torch.inference_mode():
            model.eval()(images)
    except ValueError:
        return False
    return True


def _time(
    networks: Mapping[str, nn.Module], shape: tuple[int, int, int], dense: DenseRun, options: CostOptions
) -> dict[str, Any]:
    sizes = [size for size in options.batch_sizes if size > 1 or _takes_one_image(networks["dense"], shape)]
    if not sizes:
        return {}
    report = measure_latency(
        networks,
        shape,
        batch_sizes=sizes,
        repeats=options.repeats,
        seed=derive_seed(dense.seed, "latency"),
    )
    found: dict[str, Any] = {"latency": report.record()}
    for row in report.rows:
        if row.model == "ticket":
            found[f"latency_ms_{row.batch_size}"] = 1000 * row.median_seconds
            found[f"speedup_{row.batch_size}"] = row.speedup
    return found
