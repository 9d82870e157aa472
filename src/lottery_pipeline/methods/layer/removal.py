"""The search for a layer ticket: score the candidates, take blocks out, perhaps fine-tune, repeat."""

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from lottery_pipeline.methods.layer.criteria import count_passes, score_blocks
from lottery_pipeline.methods.layer.layer_search import LayerSearch, Removal, keep_tensors, without_blocks
from lottery_pipeline.methods.layer.selection import Demand, choose_blocks, choose_one, order_blocks
from lottery_pipeline.models.blocks import list_candidates, stage_sizes
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.saliency import draw_calibration
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.result import OnLabelledRecord, State

logger = logging.getLogger(__name__)

_RECORDED = ("gone", "trace", "histories", "epochs", "seconds")


def remove_at_once(search: LayerSearch, demand: Demand) -> Removal:
    """Score the candidates once and take out all that must go (the paper's algorithms 1 and 2)."""
    options, dense = search.options, search.dense
    removal = Removal(dense.final)
    states = {criterion: getattr(dense, options.state_of(criterion)) for criterion in options.criterion}
    if demand.remaining(removal.gone) > 0:
        _remove(search, removal, demand, states)
    return removal


def remove_one_by_one(
    search: LayerSearch,
    demand: Demand,
    checkpoints: Checkpoints | None,
    on_record: OnLabelledRecord | None,
) -> Removal:
    """Score, take out one block, fine-tune, and so on until the demand is met (arXiv 2405.17081).

    The last removal is not followed by a fine-tuning: retraining does that.
    """
    options = search.options
    start: State = getattr(search.dense, options.state_of(options.criterion[0]))  # the same for all of them
    removal = _resume(search, checkpoints, on_record) or Removal(start)
    while demand.remaining(removal.gone) > 0:
        _remove(search, removal, demand, dict.fromkeys(options.criterion, removal.state))
        finished = demand.remaining(removal.gone) <= 0
        training = None if finished else _fine_tune(search, removal, checkpoints, on_record)
        if checkpoints is not None:
            record = {name: getattr(removal, name) for name in _RECORDED}
            checkpoints.save(
                search.fingerprint, removal.state, {**record, "training": training, "finished": finished}
            )
            if training is not None:
                checkpoints.clear(training)
    return removal


def _remove(search: LayerSearch, removal: Removal, demand: Demand, states: Mapping[Any, State]) -> None:
    """Do one round: score what is left at the states, by criterion, and take out one block or all."""
    started = time.perf_counter()
    options, images, device = search.options, search.images, pick_device(search.device)
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


def _fine_tune(
    search: LayerSearch,
    removal: Removal,
    checkpoints: Checkpoints | None,
    on_record: OnLabelledRecord | None,
) -> str:
    """Train what is left for a few epochs; returns the fingerprint of the training."""
    number = len(removal.gone)
    label = _label(number)
    spec = without_blocks(search.dense.spec, removal.gone, search.allow_factory)
    model = build_model(spec, seed=0, allow_factory=search.allow_factory)
    model.load_state_dict(keep_tensors(removal.state, model.state_dict()))
    training = train(
        model,
        search.images,
        search.fine_tuning,
        seed=derive_seed(search.seed, "fine_tuning", number),
        device=search.device,
        checkpoints=checkpoints,
        on_record=None if on_record is None else partial(on_record, label),
        label=f"layer {label}",
    )
    removal.state = training.state
    removal.histories.append(training.history)
    removal.epochs += training.epochs
    removal.seconds += training.seconds
    return training.fingerprint


def _resume(
    search: LayerSearch, checkpoints: Checkpoints | None, on_record: OnLabelledRecord | None
) -> Removal | None:
    saved = None if checkpoints is None else checkpoints.load(search.fingerprint)
    if checkpoints is None or saved is None:
        return None
    state, record = saved
    removal = Removal(state, **{name: record[name] for name in _RECORDED})
    if record["training"] is not None:
        checkpoints.clear(record["training"])  # a kill may have come between the two files
    logger.info("layer goes on after %d removed blocks.", len(removal.gone))
    if on_record is not None:
        for number, rows in enumerate(removal.histories, start=1):
            for row in rows:
                on_record(_label(number), row)
    return removal


def _label(number: int) -> str:
    return f"fine_tuning_{number:02d}"
