"""LTH and LTR: iterative magnitude pruning (Frankle & Carbin, ICLR 2019; Frankle et al., ICML 2020).

Train, drop the smallest surviving |theta_T|, set the survivors back to theta_0 (LTH) or theta_k (LTR)
together with biases and batch-norm buffers, repeat: the resetting strategy of the 2019 paper, appendix B. The
two methods differ in the rewind step alone.

Deviations from the released codes: exactly floor((1 - rate)^r D) weights survive round r, ties by index; a
round uses a new data order and a fresh optimiser; the dense run is round 0 where its recipe is the rounds'.
"""

import logging
from dataclasses import dataclass
from typing import Any

import torch

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.imp.round import Search, describe_dense_run, label_round, train_rung
from lottery_pipeline.methods.imp.rungs import Count, plan_rungs, total
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction, check_dense_run
from lottery_pipeline.sparsity.masks import Masks, count_kept
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import make_ladder
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord, State

logger = logging.getLogger(__name__)


def extract_lth(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    seed: int,
    options: ImpOptions,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> Extraction:
    """Find a ticket by iterative magnitude pruning, survivors reset to initialisation.

    Args:
        images: what the dense run was trained on.
        dense: gives theta_0 and, where its recipe is ``recipe``, round 0.
        recipe: of every round; a round trains all of it.
        seed: of the run; round r trains with ``derive_seed(seed, "round", r)``.
        options: how far and how fast.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save after every round and inside rounds; the search goes on from there.
        on_record: called as ``on_record("round_03", row)`` with each history row of each round trained here
            and as ``on_record("ladder", row)`` with each finished rung (``LadderRow``). After a resume all
            rows come again, in order.
        allow_factory: the trusted ``package.module:factory``, where the model is one.

    Returns:
        The last rung's ticket and the ladder. The last rung itself is not trained: retraining does that.
        ``search_epochs`` counts every round up to it, the dense run as round 0 included.

    Raises:
        TicketError: the dense run is of other images, or the rounds lead nowhere; before anything is trained.
        DensityError: the density keeps no weight.
    """
    search = Search("lth", images, dense, recipe, options, seed, 0, dense.initial, device, allow_factory)
    return _extract(search, checkpoints, on_record)


def extract_ltr(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    seed: int,
    options: ImpOptions,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> Extraction:
    """Find a ticket by iterative magnitude pruning, survivors rewound to step k of the dense run.

    As ``extract_lth``, but weights and buffers go back to theta_k and each round trains the steps from
    ``dense.rewind_step`` on; the optimiser starts anew, without the momentum of the dense run.
    """
    step = dense.rewind_step
    search = Search("ltr", images, dense, recipe, options, seed, step, dense.rewind, device, allow_factory)
    return _extract(search, checkpoints, on_record)


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


def _extract(
    search: Search, checkpoints: Checkpoints | None, on_record: OnLabelledRecord | None
) -> Extraction:
    check_dense_run(search.dense, search.images)
    steps = search.recipe.total_steps(len(search.images.train))
    if search.start_step >= steps:
        raise TicketError(
            f"the rewind point, step {search.start_step}, is not before the end of the rounds ({steps} steps)"
        )
    model = build_model(search.dense.spec, seed=0, device="meta", allow_factory=search.allow_factory)
    prunable = prunable_parameters(model, search.dense.spec.ignore_layers)
    sizes = {name: parameter.numel() for name, parameter in prunable.items()}
    rungs = plan_rungs(search.options, sizes)
    survived = {name: torch.zeros(parameter.shape, dtype=torch.uint8) for name, parameter in prunable.items()}
    progress = _resume(search, checkpoints, on_record) or _Progress(survived, [], [])
    for rung in range(len(progress.rows), len(rungs)):
        training = _do_round(search, progress, rungs[rung], checkpoints, on_record)
        if checkpoints is not None:
            record = {
                "rows": progress.rows,
                "trace": progress.trace,
                "training": training,
                "finished": rung + 1 == len(rungs),
            }
            checkpoints.save(search.fingerprint, progress.survived, record)
            if training is not None:
                checkpoints.clear(training)
    ladder = make_ladder(
        method=search.method,
        spec=search.dense.spec,
        survived=progress.survived,
        state=search.start,
        counts=[sum(sizes.values()), *map(total, rungs)],
        rows=progress.rows,
        seed=search.seed,
        rewind_step=search.start_step,
        parents={"dense": search.dense.fingerprint, "images": search.images.fingerprint},
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


def _resume(
    search: Search, checkpoints: Checkpoints | None, on_record: OnLabelledRecord | None
) -> _Progress | None:
    saved = None if checkpoints is None else checkpoints.load(search.fingerprint)
    if checkpoints is None or saved is None:
        return None
    survived, record = saved
    progress = _Progress(survived, record["rows"], record["trace"])
    if record["training"] is not None:
        checkpoints.clear(record["training"])  # a kill may have come between the two files
    logger.info("%s goes on after %d finished rungs.", search.method, len(progress.rows))
    if on_record is None:
        return progress
    for row in progress.rows:
        for epoch in progress.trace:
            if epoch["round"] == row["rung"]:
                on_record(label_round(row["rung"]), _without_round(epoch))
        on_record("ladder", row)
    return progress


def _do_round(
    search: Search,
    progress: _Progress,
    keep: Count,
    checkpoints: Checkpoints | None,
    on_record: OnLabelledRecord | None,
) -> str | None:
    """Train one rung, add its row and prune to the next; returns the fingerprint of the training."""
    rung, masks = len(progress.rows), progress.masks
    logger.info("%s round %d: %d weights.", search.method, rung, count_kept(masks))
    if rung == 0 and search.dense.recipe.record() == search.recipe.record():
        final, results, own = search.dense.final, describe_dense_run(search), None
    else:
        training, results = train_rung(search, rung, masks, checkpoints, on_record)
        final, own = training.state, training.fingerprint
        progress.trace += [{"round": rung, **row} for row in training.history]
    kept, prunable = count_kept(masks), sum(mask.numel() for mask in masks.values())
    row = {"rung": rung, "density": kept / prunable, "kept": kept, "prunable": prunable, **results}
    progress.rows.append(row)
    if on_record is not None:
        on_record("ladder", row)
    scores = {name: final[name].abs() for name in masks}
    scope = search.options.scope
    for name, mask in keep_top_k(scores, keep, scope=scope, within=masks).items():
        progress.survived[name] += mask.to(torch.uint8)
    return own


def _without_round(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "round"}
