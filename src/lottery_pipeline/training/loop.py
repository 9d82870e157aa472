"""The training loop: masked, resumable, and hardly slower than the bare step."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.images.targets import find_fault
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.sparsity.masks import Masks, apply_masks_
from lottery_pipeline.training.collectives import check_batch
from lottery_pipeline.training.device import (
    fastest_convolutions,
    has_bfloat16,
    keep_freed_memory,
    pick_device,
    place_model_,
)
from lottery_pipeline.training.evaluation import modes_restored
from lottery_pipeline.training.events import Events
from lottery_pipeline.training.freezing import frozen
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.parallel import call, count_processes, find_own_device, is_first
from lottery_pipeline.training.recipe import Recipe, RecipeError
from lottery_pipeline.training.result import DivergenceError, OnRecord, State, Training
from lottery_pipeline.training.run import TrainingRun

__all__ = ["DivergenceError", "OnRecord", "State", "Training", "train"]

logger = logging.getLogger(__name__)


def train(
    model: nn.Module,
    images: ImageSplits,
    recipe: Recipe,
    *,
    seed: int,
    masks: Masks | None = None,
    start_step: int = 0,
    snapshot_steps: Sequence[int] = (),
    device: str | torch.device = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnRecord | None = None,
    label: str = "",
    extra: ImageSet | None = None,
    extra_per_batch: int = 0,
    margin: Margin | None = None,
    events: Events | None = None,
    frozen_modules: Sequence[str] = (),
) -> Training:
    """Train a model in place, from ``start_step`` to the end of the recipe.

    The optimiser starts fresh; learning rate and epoch are those of ``start_step``, so training a network
    rewound to theta_k with ``start_step=k`` is late rewinding (Frankle et al. 2020). Weights are masked at
    the start, and pruned weights are exactly 0 from then on. Order, augmentation and dropout depend only on
    the seed and the epoch; on a CPU the result is the same bit for bit, however often the training was killed
    and called again with the same checkpoints and thread count.

    Processes that train together (``lottery_pipeline.training.parallel``) share every batch. The result is
    that of one process but for rounding, and for what the network and an adversary draw at random. With
    events or extra images, this process trains alone.

    Args:
        model: pixels in [0, 1], [N, C, H, W], to outputs of the images' task. It ends on the device, channels
            last, with its modes as they were.
        images: trained on ``train``, measured on ``validation`` (which may be empty).
        recipe: how to train.
        seed: determines order, augmentation and dropout.
        masks: by parameter name; parameters without a mask are trained in full.
        start_step: number of steps the weights have been trained for.
        snapshot_steps: steps before which the state is copied, from start_step to the last.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save; None saves nothing.
        on_record: called with every history row, including those from before an interruption.
        label: what is trained, for progress lines and errors.
        extra: images that join every batch, never cropped, flipped, mixed or attacked, for example a trigger
            set. They are part of the loss like any image of the batch; the history does not count them.
        extra_per_batch: how many of them join a batch; every one is seen equally often.
        margin: keeps chosen weights from becoming small; they must be masked layers.
        events: what a search does between the steps; it may replace the network, which it then holds.
        frozen_modules: names of modules whose weights and batch-norm statistics stay as they are; not with
            events.

    Returns:
        The training's result. With checkpoints it is also saved, marked finished, for the caller to clear.

    Raises:
        DivergenceError: a loss or a weight is not finite.
        EventError: the events cannot let the training continue.
        ParallelError: another process has ended, does not answer, or has found something else.
        RecipeError: recipe, start step, snapshot steps or extra images do not fit the images or their task;
            or events and frozen modules are given together.
    """
    chosen = pick_device(device)
    _check_steps(start_step, snapshot_steps, recipe.total_steps(len(images.train)))
    _check_extra(extra, extra_per_batch, images)
    if recipe.adversary is not None and images.task != "classification":
        raise RecipeError(f"an adversary needs images with one class each, but these are for {images.task}")
    if margin is not None and not margin.floors.keys() <= (masks or {}).keys():
        raise RecipeError("a margin needs masks for all the weights that it holds")
    if frozen_modules and events is not None:
        raise RecipeError("a search trains the whole network, so no module can be frozen")
    if recipe.precision == "bfloat16" and not has_bfloat16(chosen):
        logger.warning("This processor has no bfloat16 arithmetic: float32 would be faster.")
    place_model_(model, chosen)
    apply_masks_(dict(model.named_parameters()), masks or {})
    behaviour = getattr(model, "behaviour", None)  # of code that a checkpoint may outlive
    model.zero_grad(set_to_none=True)
    identity = fingerprint(
        {
            "kind": "training",
            "version": __version__,
            "modules": [type(module).__name__ for module in model.modules()],
            "state": fingerprint_tensors(model.state_dict()),
            "masks": fingerprint_tensors(masks) if masks else None,
            "images": images.fingerprint,
            "recipe": recipe.record(),
            "seed": seed,
            "start_step": start_step,
            "snapshot_steps": sorted(set(snapshot_steps)),
            **_describe_extra(extra, extra_per_batch),
            **({} if margin is None else {"margin": margin.record()}),
            **({} if events is None else {"events": events.identity()}),
            **({} if behaviour is None else {"behaviour": behaviour}),
            **({"frozen": sorted(frozen_modules)} if frozen_modules else {}),
        }
    )
    label = label or "training"
    run = partial(
        _run,
        seed=seed,
        masks=masks,
        start_step=start_step,
        snapshot_steps=snapshot_steps,
        device=chosen,
        label=label,
        fingerprint=identity,
        margin=margin,
        frozen_modules=frozen_modules,
    )
    if events is not None or extra is not None:
        if count_processes() > 1:
            logger.info("%s: this process trains alone, since its batches cannot be shared.", label)
        return run(
            images,
            model,
            recipe,
            checkpoints=checkpoints,
            on_record=on_record,
            extra=extra,
            extra_per_batch=extra_per_batch,
            events=events,
        )
    check_batch(label, min(recipe.batch_size, len(images.train)))
    return call(run, images, model, recipe, checkpoints=checkpoints, on_record=on_record)


def _run(
    images: ImageSplits,
    model: nn.Module,
    recipe: Recipe,
    *,
    device: torch.device,
    frozen_modules: Sequence[str],
    checkpoints: Checkpoints | None = None,
    on_record: OnRecord | None = None,
    extra: ImageSet | None = None,
    extra_per_batch: int = 0,
    events: Events | None = None,
    **options: Any,
) -> Training:
    """Train on this process, one of those that train together or the only one."""
    chosen = pick_device(find_own_device(device))
    if chosen.type == "cpu":
        keep_freed_memory()
    if not is_first():
        place_model_(model, chosen)
    with modes_restored(model), frozen(model, frozen_modules), fastest_convolutions(chosen):
        return TrainingRun(
            model,
            images,
            recipe,
            device=chosen,
            checkpoints=checkpoints,
            on_record=on_record,
            extra=extra,
            extra_per_batch=extra_per_batch,
            events=events,
            frozen_modules=frozen_modules,
            **options,
        ).to_the_end()


def _check_extra(extra: ImageSet | None, per_batch: int, images: ImageSplits) -> None:
    if extra is None:
        if per_batch:
            raise RecipeError(f"extra_per_batch is {per_batch}, but there are no extra images")
        return
    if per_batch < 1 or not len(extra):
        raise RecipeError(f"{len(extra)} extra images, {per_batch} per batch: both must be 1 or more")
    shape, wanted = tuple(extra.images.shape[1:]), tuple(images.train.images.shape[1:])
    if shape != wanted:
        raise RecipeError(f"the extra images have the shape {shape}, but the training images {wanted}")
    if extra.task != images.task:
        raise RecipeError(f"the extra images are for {extra.task}, but the training images for {images.task}")
    if fault := find_fault(extra.task, extra.labels, images.num_classes, images.image_size):
        raise RecipeError(f"the labels of the extra images {fault}")


def _describe_extra(extra: ImageSet | None, per_batch: int) -> dict[str, Any]:
    """Return what extra images add to the identity: nothing without them, so that old identities stay."""
    if extra is None:
        return {}
    content = fingerprint_tensors({"images": extra.images, "labels": extra.labels})
    return {"extra": {"content": content, "per_batch": per_batch}}


def _check_steps(start_step: int, snapshot_steps: Sequence[int], total: int) -> None:
    if not 0 <= start_step < total:
        raise RecipeError(f"start_step {start_step} is not between 0 and the last step, {total - 1}")
    outside = [step for step in snapshot_steps if not start_step <= step <= total]
    if outside:
        raise RecipeError(
            f"snapshot step {outside[0]} is not between the start, {start_step}, and the end, {total}"
        )
