"""The search for a layer ticket: score the candidates, take blocks out, perhaps fine-tune, repeat."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from lottery_pipeline.methods.layer.criteria import count_passes, score_blocks
from lottery_pipeline.methods.layer.selection import Demand, choose_blocks, choose_one, order_blocks
from lottery_pipeline.models.blocks import list_blocks, list_candidates, stage_sizes
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.calibration import draw_calibration
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.result import State

logger = logging.getLogger(__name__)

_RECORDED = ("gone", "trace", "histories", "epochs", "seconds")


@dataclass
class Removal:
    """What a search has found so far.

    Attributes:
        gone: blocks taken out, in order of removal.
        state: of the network that is left: theta_T, or fine-tuned.
        trace: a row for each candidate of each round.
        histories: rows of each fine-tuning.
        epochs: cost, as in ``Extraction``.
        seconds: time they took.
    """

    state: State
    gone: list[str] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    histories: list[list[dict[str, Any]]] = field(default_factory=list)
    epochs: float = 0.0
    seconds: float = 0.0


def remove_at_once(search: Search, options: LayerOptions, demand: Demand) -> Removal:
    """Score the candidates once and take out all that must go (the paper's algorithms 1 and 2)."""
    dense = search.dense
    removal = Removal(dense.final)
    states = {criterion: getattr(dense, options.state_of(criterion)) for criterion in options.criterion}
    if demand.remaining(removal.gone) > 0:
        _remove(search, options, removal, demand, states)
    return removal


def remove_one_by_one(search: Search, options: LayerOptions, demand: Demand) -> Removal:
    """Score, take out one block, fine-tune, and so on until the demand is met (arXiv 2405.17081).

    The last removal is not followed by a fine-tuning: retraining does that.
    """
    checkpoints = search.checkpoints
    # Rewinding comes after the removals and is left out.
    own = search.fingerprint(
        "layer",
        recipe=search.recipe.record(),
        options=options.model_dump(mode="json", exclude={"rewinding", "start"}),
    )
    start: State = getattr(search.dense, options.state_of(options.criterion[0]))  # the same for all of them
    removal = _resume(search, own) or Removal(start)
    while demand.remaining(removal.gone) > 0:
        _remove(search, options, removal, demand, dict.fromkeys(options.criterion, removal.state))
        finished = demand.remaining(removal.gone) <= 0
        training = None if finished else _fine_tune(search, options, removal)
        if checkpoints is not None:
            record = {name: getattr(removal, name) for name in _RECORDED}
            checkpoints.save(own, removal.state, {**record, "training": training, "finished": finished})
            if training is not None:
                checkpoints.clear(training)
    return removal


def _remove(
    search: Search,
    options: LayerOptions,
    removal: Removal,
    demand: Demand,
    states: Mapping[Any, State],
) -> None:
    """Do one round: score what is left at the states, by criterion, and take out one block or all."""
    started = time.perf_counter()
    images, device = search.images, search.place
    spec = without_blocks(search.dense.spec, removal.gone, search.allow_factory)
    model = build_model(spec, seed=0, allow_factory=search.allow_factory).to(device)
    candidates = list_candidates(model, with_first_block=options.allow_first_block_of_stage1)
    pixels, labels = draw_calibration(
        images, per_class=options.images_per_class, seed=search.seed, device=device
    )
    scores = {}
    for criterion in options.criterion:
        model.load_state_dict(states[criterion])
        scores[criterion] = score_blocks(
            criterion,
            model,
            [block.name for block in candidates],
            pixels,
            labels,
            seed=search.seed,
            aggregation=options.aggregation,
            batch_size=options.batch_size,
            batch_statistics=options.batch_statistics,
        )
        passes = count_passes(criterion, len(candidates))
        removal.epochs += passes * len(labels) / len(images.train)
    order = order_blocks(candidates, list(scores.values()))
    choose = choose_one if options.iterative else choose_blocks
    chosen = choose(order, stage_sizes(model), demand)
    number = 1 + len(removal.histories)
    removal.trace += [
        {
            "round": number,
            "block": block.name,
            "stage": block.stage,
            **{f"{criterion}_score": own[block.name] for criterion, own in scores.items()},
            "rank": 1 + order.index(block),
            "removed": block.name in chosen,
        }
        for block in candidates
    ]
    removal.gone += chosen
    logger.info("layer round %d: without %s.", number, ", ".join(chosen))
    removal.seconds += time.perf_counter() - started


def _fine_tune(search: Search, options: LayerOptions, removal: Removal) -> str:
    """Train what is left for a few epochs; returns the fingerprint of the training."""
    number, on_record = len(removal.gone), search.on_record
    label = _label(number)
    spec = without_blocks(search.dense.spec, removal.gone, search.allow_factory)
    names = build_model(spec, seed=0, device="meta", allow_factory=search.allow_factory).state_dict()
    model = search.build(keep_tensors(removal.state, names), spec)
    training = train(
        model,
        search.images,
        # The recipe of the retraining, short and at a constant rate.
        search.recipe.replace(
            epochs=options.fine_tuning_epochs,
            learning_rate=options.fine_tuning_rate,
            schedule="constant",
            warmup_epochs=0.0,
        ),
        seed=derive_seed(search.seed, "fine_tuning", number),
        device=search.device,
        checkpoints=search.checkpoints,
        on_record=None if on_record is None else partial(on_record, label),
        label=f"layer {label}",
    )
    removal.state = training.state
    removal.histories.append(training.history)
    removal.epochs += training.epochs
    removal.seconds += training.seconds
    return training.fingerprint


def _resume(search: Search, own: str) -> Removal | None:
    checkpoints, on_record = search.checkpoints, search.on_record
    saved = None if checkpoints is None else checkpoints.load(own)
    if checkpoints is None or saved is None:
        return None
    state, record = saved
    removal = Removal(state, **{name: record[name] for name in _RECORDED})
    if record["training"] is not None:
        checkpoints.clear(record["training"])  # a kill may have come between the two files
    logger.info("layer resumes after %d removed blocks.", len(removal.gone))
    if on_record is not None:
        for number, rows in enumerate(removal.histories, start=1):
            for row in rows:
                on_record(_label(number), row)
    return removal


def _label(number: int) -> str:
    return f"fine_tuning_{number:02d}"


def without_blocks(spec: ModelSpec, names: Iterable[str], allow_factory: str | None = None) -> ModelSpec:
    """Return a specification without these blocks, in network order; blocks it already lacks stay out."""
    gone = {*spec.removed_blocks, *names}
    full = build_model(spec.restored(), seed=0, device="meta", allow_factory=allow_factory)
    removed = tuple(block.name for block in list_blocks(full) if block.name in gone)
    behind = tuple(f"{name}." for name in removed)
    narrowed = tuple(entry for entry in spec.narrowed if not entry[0].startswith(behind))
    return spec.model_copy(update={"removed_blocks": removed, "narrowed": narrowed})


def keep_tensors(state: Mapping[str, Tensor], names: Iterable[str]) -> State:
    """Return the tensors of a smaller network; they have the same names in the larger one."""
    return {name: state[name] for name in names}
