"""LTH and LTR: iterative magnitude pruning (Frankle & Carbin, ICLR 2019; Frankle et al., ICML 2020).

Train, drop the smallest surviving |theta_T|, set the survivors back to theta_0 (LTH) or theta_k (LTR)
together with biases and batch-norm buffers, repeat: the resetting strategy of the 2019 paper, appendix B. The
two methods differ in the rewind step alone.

Deviations from the released codes: exactly floor((1 - rate)^r D) weights survive round r, ties by index; a
round uses a new data order and a fresh optimiser; the dense run is round 0 if its recipe is that of the
rounds.
"""

import logging
from dataclasses import dataclass
from typing import Any

import torch

from lottery_pipeline.methods.imp.round import describe_dense_run, label_round, train_rung
from lottery_pipeline.methods.imp.rungs import Count, plan_rungs, total
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.search.extraction import Extraction, Search, StartPoint
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.sparsity.masks import Masks, count_kept
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.tickets.ladder import make_ladder
from lottery_pipeline.training.result import State

logger = logging.getLogger(__name__)


def extract_lth(search: Search, options: ImpOptions) -> Extraction:
    """Find a ticket by iterative magnitude pruning, survivors reset to initialisation.

    Args:
        search: its dense run gives theta_0 and, if its recipe is that of the search, round 0. Every round
            trains the whole recipe, round r with ``derive_seed(seed, "round", r)``, and every finished round
            is a checkpoint. ``on_record("round_03", row)`` gets each history row of each round trained
            here, ``on_record("ladder", row)`` each finished rung (``LadderRow``).
        options: how far and how fast.

    Returns:
        The last rung's ticket and the ladder. The last rung itself is not trained: retraining does that.
        ``search_epochs`` counts every round up to it, the dense run as round 0 included.

    Raises:
        TicketError: the rounds are impossible; raised before anything is trained.
        DensityError: the density keeps no weight.
    """
    return _extract("lth", search, options, search.start("initial"))


def extract_ltr(search: Search, options: ImpOptions) -> Extraction:
    """Find a ticket by iterative magnitude pruning, survivors rewound to step k of the dense run.

    As ``extract_lth``, but weights and buffers return to theta_k and each round trains from its epoch on; the
    optimiser starts afresh, without the momentum of the dense run.
    """
    return _extract("ltr", search, options, search.start("rewind"))


def check_imp(outlook: Outlook, options: ImpOptions) -> int | None:
    """Return the number of the last rung before anything runs; None if the network is not known yet.

    Raises:
        ValueError: a pattern matches no layer, or the density is out of reach.
    """
    spec = outlook.network
    if spec is None:
        return None
    weights = prunable_parameters(build_model(spec, seed=0, device="meta"), spec.ignore_layers)
    return len(plan_rungs(options, {name: weight.numel() for name, weight in weights.items()}))


check_lth = check_ltr = check_imp


@dataclass
class _Progress:
    """What a search has found so far: survival counts, ladder rows, epoch rows."""

    survived: State
    rows: list[dict[str, Any]]
    trace: list[dict[str, Any]]

    @property
    def masks(self) -> Masks:
        """Masks of the rung to train next."""
        return {name: counts >= len(self.rows) for name, counts in self.survived.items()}


def _extract(method: str, search: Search, options: ImpOptions, start: StartPoint) -> Extraction:
    first = StartPoint(search.first_step(method, start), start.state)  # in steps of the rounds
    spec, checkpoints = search.dense.spec, search.checkpoints
    model = build_model(spec, seed=0, device="meta", allow_factory=search.allow_factory)
    prunable = prunable_parameters(model, spec.ignore_layers)
    sizes = {name: parameter.numel() for name, parameter in prunable.items()}
    rungs = plan_rungs(options, sizes)
    survived = {name: torch.zeros(parameter.shape, dtype=torch.uint8) for name, parameter in prunable.items()}
    # The method's name is left out: LTR rewound to step 0 is LTH.
    own = search.fingerprint(
        "imp",
        recipe=search.recipe.record(),
        options=options.model_dump(mode="json"),
        start_step=first.step,
    )
    progress = _resume(method, search, own) or _Progress(survived, [], [])
    for rung in range(len(progress.rows), len(rungs)):
        training = _do_round(method, search, options, first, progress, rungs[rung])
        if checkpoints is not None:
            record = {
                "rows": progress.rows,
                "trace": progress.trace,
                "training": training,
                "finished": rung + 1 == len(rungs),
            }
            checkpoints.save(own, progress.survived, record)
            if training is not None:
                checkpoints.clear(training)
    ladder = make_ladder(
        method=method,
        spec=spec,
        survived=progress.survived,
        state=start.state,
        counts=[sum(sizes.values()), *map(total, rungs)],
        rows=progress.rows,
        seed=search.seed,
        rewind_step=start.step,
        steps_per_epoch=search.dense.steps_per_epoch,
        parents=search.parents,
        allow_factory=search.allow_factory,
    )
    return Extraction(
        ticket=ladder.ticket(-1),
        search_epochs=sum(row["epochs"] for row in progress.rows),
        search_seconds=sum(row["seconds"] for row in progress.rows),
        ladder=ladder,
        trace=progress.trace,
        parts=[
            {"name": label_round(row["rung"]), "epochs": row["epochs"], "seconds": row["seconds"]}
            for row in progress.rows
        ],
    )


def _resume(method: str, search: Search, own: str) -> _Progress | None:
    checkpoints, on_record = search.checkpoints, search.on_record
    saved = None if checkpoints is None else checkpoints.load(own)
    if checkpoints is None or saved is None:
        return None
    survived, record = saved
    progress = _Progress(survived, record["rows"], record["trace"])
    if record["training"] is not None:
        checkpoints.clear(record["training"])  # a kill may have come between the two files
    logger.info("%s resumes after %d finished rungs.", method, len(progress.rows))
    if on_record is None:
        return progress
    for row in progress.rows:
        for epoch in progress.trace:
            if epoch["round"] == row["rung"]:
                on_record(label_round(row["rung"]), _without_round(epoch))
        on_record("ladder", row)
    return progress


def _do_round(
    method: str, search: Search, options: ImpOptions, start: StartPoint, progress: _Progress, keep: Count
) -> str | None:
    """Train one rung, add its row and prune to the next; returns the fingerprint of the training."""
    rung, masks = len(progress.rows), progress.masks
    logger.info("%s round %d: %d weights.", method, rung, count_kept(masks))
    if rung == 0 and search.dense.recipe.record() == search.recipe.record():
        final, results, own = search.dense.final, describe_dense_run(search, start), None
    else:
        training, results = train_rung(method, search, start, rung, masks)
        final, own = training.state, training.fingerprint
        progress.trace += [{"round": rung, **row} for row in training.history]
    kept, prunable = count_kept(masks), sum(mask.numel() for mask in masks.values())
    row = {"rung": rung, "density": kept / prunable, "kept": kept, "prunable": prunable, **results}
    progress.rows.append(row)
    if search.on_record is not None:
        search.on_record("ladder", row)
    scores = {name: final[name].abs() for name in masks}
    for name, mask in keep_top_k(scores, keep, scope=options.scope, within=masks).items():
        progress.survived[name] += mask.to(torch.uint8)
    return own


def _without_round(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "round"}
