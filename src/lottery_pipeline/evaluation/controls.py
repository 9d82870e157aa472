"""Controls of a ladder (Frankle & Carbin 2019): what a winning ticket must beat at the same density.

``random_mask`` keeps the start weights and shuffles the mask inside each layer. ``reinitialise`` keeps the
mask and draws new initial weights; these have seen no training, so they are trained from step 0.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, get_args

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import ControlKind
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.parents import check_dense_run, check_spec
from lottery_pipeline.search.rewinding import find_first_step
from lottery_pipeline.sparsity.masks import Masks, count_kept, count_prunable
from lottery_pipeline.sparsity.shuffling import count_moved, shuffle_masks
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord, State
from lottery_pipeline.training.workers import work_at_once

logger = logging.getLogger(__name__)

KINDS: tuple[str, ...] = get_args(ControlKind)


class Control(NamedTuple):
    """One control: the rung whose mask it takes, and what is changed."""

    rung: int
    kind: ControlKind


def train_controls(
    ladder: Ladder,
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    rungs: Sequence[int],
    kinds: Sequence[ControlKind],
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    concurrency: int = 1,
) -> list[dict[str, Any]]:
    """Train the controls of some rungs under the recipe of the retraining.

    Args:
        ladder: gives the masks and start weights.
        images: those of the ladder.
        dense: its dense parent.
        recipe: used for every control.
        rungs: any of the ladder's, -1 for the last; a rung named twice is done once.
        kinds: ``random_mask``, ``reinitialise``.
        seed: the run's seed; a control draws with ``derive_seed(seed, "control", kind, rung)``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save inside and after every control.
        on_record: called as ``on_record("control_random_mask_03", row)`` with each history row and as
            ``on_record("controls", row)`` with each finished control; after a resume these come again.
        concurrency: how many are trained at once; see ``work_at_once``.

    Returns:
        One row per control: ``control``, ``rung``, ``density``, ``kept``, ``prunable`` (D of the dense run),
        ``test_accuracy``, ``validation_accuracy``, ``epochs``, ``seconds``, ``early_stop_step``, ``seed``,
        and ``changed``: how many mask positions (``random_mask``) or kept weights (``reinitialise``) differ
        from the ticket's. A layer of density 1 cannot be shuffled, so a control may be weaker than its name
        says; with 0 changes it controls nothing. Where several are trained at once, their ``seconds`` are
        shared, and ``trainings_at_once`` says between how many.

    Raises:
        TicketError: ladder, dense run and images do not belong together, or there is no such rung.
    """
    check_dense_run(dense, images)
    check_spec(ladder.header.spec, images, "the ladder")
    if ladder.header.parents.get("dense") != dense.fingerprint:
        raise TicketError("the ladder comes from another dense run than this one; extract it again")
    for kind in kinds:
        if kind not in KINDS:
            raise TicketError(f"a control is one of {', '.join(KINDS)}, not {kind!r}")
    chosen = list(dict.fromkeys(ladder.last_rung if rung == -1 else rung for rung in rungs))
    plan = [Control(rung, kind) for rung in chosen for kind in dict.fromkeys(kinds)]
    own = {control: _identify(ladder, recipe, control, seed) for control in plan}
    stored = {control: row for control in plan if (row := _find_row(own[control], checkpoints)) is not None}
    missing = [(control, own[control]) for control in plan if control not in stored]
    task = partial(_train_control, ladder, images, recipe, seed, device, checkpoints)
    trained = work_at_once(task, missing, concurrency=concurrency, on_record=on_record)
    shared = (
        {"trainings_at_once": min(concurrency, len(missing))} if min(concurrency, len(missing)) > 1 else {}
    )
    rows = []
    for control in plan:
        row = stored[control] if control in stored else next(trained) | shared
        # A ladder of a smaller network counts as its ticket does: against the dense network.
        prunable = dense.metrics["prunable"]
        row |= {"density": row["kept"] / prunable, "prunable": prunable}
        if on_record is not None:
            on_record("controls", row)
        rows.append(row)
    return rows


def _identify(ladder: Ladder, recipe: Recipe, control: Control, seed: int) -> str:
    return fingerprint(
        {
            "computation": "control",
            "version": __version__,
            "ladder": ladder.fingerprint,
            "recipe": recipe.record(),
            "rung": control.rung,
            "kind": control.kind,
            "seed": seed,
        }
    )


def _find_row(own: str, checkpoints: Checkpoints | None) -> dict[str, Any] | None:
    saved = None if checkpoints is None else checkpoints.load(own)
    if checkpoints is None or saved is None:
        return None
    checkpoints.clear(saved[1]["training"])  # a kill may have come between the two files
    return dict(saved[1]["row"])


def _train_control(
    ladder: Ladder,
    images: ImageSplits,
    recipe: Recipe,
    seed: int,
    device: str,
    checkpoints: Checkpoints | None,
    item: tuple[Control, str],
    on_record: OnLabelledRecord,
) -> dict[str, Any]:
    (rung, kind), own = item
    masks = ladder.masks(rung)
    draw = derive_seed(seed, "control", kind, rung)
    control_masks, state, changed = _draw_control(ladder, masks, kind, draw)
    header = ladder.header
    step = header.rewind_step if kind == "random_mask" else 0
    model = build_model(ladder.header.spec, seed=0, allow_factory=ladder.allow_factory)
    model.load_state_dict(state)
    label = f"control_{kind}_{rung:02d}"
    logger.info("%s %s: %d places changed.", ladder.header.method, label, changed)
    training = train(
        model,
        images,
        recipe,
        seed=draw,
        masks=control_masks,
        start_step=find_first_step(header.method, step, header.steps_per_epoch, recipe, len(images.train)),
        device=device,
        checkpoints=checkpoints,
        on_record=partial(on_record, label),
        label=f"{ladder.header.method} {label}",
    )
    row = {
        "control": kind,
        "rung": rung,
        "density": count_kept(masks) / count_prunable(masks),
        "kept": count_kept(masks),
        "prunable": count_prunable(masks),
        "test_accuracy": evaluate(model, images.test, device=pick_device(device))["accuracy"],
        "validation_accuracy": training.history[-1]["validation_accuracy"],
        "epochs": training.epochs,
        "seconds": training.seconds,
        "early_stop_step": training.early_stop_step,
        "seed": seed,
        "changed": changed,
    }
    if checkpoints is not None:
        checkpoints.save(own, {}, {"row": row, "training": training.fingerprint, "finished": True})
        checkpoints.clear(training.fingerprint)
    return row


def _draw_control(ladder: Ladder, masks: Masks, kind: ControlKind, seed: int) -> tuple[Masks, State, int]:
    """Return masks, start weights and the number of places where they differ from the ticket."""
    if kind == "random_mask":
        shuffled = shuffle_masks(masks, seed=seed, how="layer")
        return shuffled, ladder.state, count_moved(masks, shuffled)
    fresh = build_model(ladder.header.spec, seed=seed, allow_factory=ladder.allow_factory).state_dict()
    changed = sum(
        int((fresh[name][mask] != ladder.state[name][mask]).count_nonzero()) for name, mask in masks.items()
    )
    return masks, fresh, changed
