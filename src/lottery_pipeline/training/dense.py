"""The dense run: one training of the full network that keeps theta_0, theta_k and theta_T."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.idle import leave_out_idle_layers
from lottery_pipeline.models.prunable import check_ignore_layers, prunable_parameters
from lottery_pipeline.models.registry import with_behaviour
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.uncounted import IGNORED, describe_uncounted, find_uncounted
from lottery_pipeline.models.weights.record import WeightsRecord
from lottery_pipeline.options.task import TaskName
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training.arithmetic import describe_arithmetic
from lottery_pipeline.training.dense_header import DenseRunError
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import EVERY_TASK, evaluate
from lottery_pipeline.training.loop import OnRecord, State, train
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.robust_gap import measure_robust_gap
from lottery_pipeline.training.tasks import TASKS, find_spec_task
from lottery_pipeline.training.theta_0 import draw_model

logger = logging.getLogger(__name__)
_said: set[str] = set()


@dataclass(frozen=True, eq=False)
class DenseRun:
    """A finished dense training.

    Attributes:
        spec: the network's specification.
        recipe: the one it was trained with.
        seed: the run's seed; initialisation and training seeds are derived from it.
        rewind_step: k, the number of steps between theta_0 and theta_k.
        initial: theta_0, a full state dict on the CPU.
        rewind: theta_k; equal to theta_0 for k = 0.
        final: theta_T.
        history: a row per epoch, as ``train`` returns it.
        metrics: test_accuracy, test_loss, validation_accuracy (None without validation images), seconds,
            epochs, early_stop_step, prunable (D). A dense task adds metric, the name of what the accuracies
            are (mIoU or PCK), and test_pixel_accuracy or test_pixel_error. An adversary adds the numbers
            of ``measure_robust_gap``. Brought weights add theta_0_accuracy, on the test images.
        images_fingerprint: fingerprint of the images it was trained on.
        fingerprint: hash of images, specification, recipe, seed and rewind step.
        arithmetic: how it was computed, as ``describe_arithmetic`` says; empty in a file of an older version.
        weights: what theta_0 was taken from; None if it was drawn from the seed.
    """

    spec: ModelSpec
    recipe: Recipe
    seed: int
    rewind_step: int
    initial: State
    rewind: State
    final: State
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    images_fingerprint: str
    fingerprint: str
    arithmetic: dict[str, Any] = field(default_factory=dict)
    weights: WeightsRecord | None = None

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimiser steps of an epoch of this run, in which ``rewind_step`` counts; None without history."""
        return round(self.history[-1]["step"] / self.history[-1]["epoch"]) if self.history else None


def pretrain(
    images: ImageSplits,
    spec: ModelSpec,
    recipe: Recipe,
    *,
    rewind_epoch: float,
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnRecord | None = None,
    stored: DenseRun | None = None,
    allow_factory: str | None = None,
    initial: State | None = None,
    weights: WeightsRecord | None = None,
    label: str = "dense",
) -> DenseRun:
    """Train the dense network and keep its state at the start, at the rewind point and at the end.

    Args:
        images: to train and measure on.
        spec: the network's specification; it must describe these images. Layers that take no part in the
            forward pass are added to its ``ignore_layers``.
        recipe: how to train.
        rewind_epoch: k in epochs, fractions allowed: k = round(rewind_epoch * steps per epoch).
        seed: the run's seed.
        device: where to train.
        checkpoints: to survive interruptions.
        on_record: called with every history row.
        stored: an earlier result; returned unchanged if it is the one that would be computed.
        allow_factory: the user's own model factory, if ``spec`` names one.
        initial: theta_0, a full state dict; drawn from the seed if not given.
        weights: what ``initial`` was taken from, if a user has brought it; ``read_theta_0`` returns both.
        label: shown with the progress.

    Raises:
        DenseRunError: the specification does not describe these images.
        ModelError: the network cannot be built, or a pattern of ``ignore_layers`` matches no layer.
        RecipeError: the rewind point is not before the end of the training.
    """
    spec = with_behaviour(spec, allow_factory=allow_factory)
    check_images(spec, images)
    spec = leave_out_idle_layers(spec, allow_factory=allow_factory)
    _say_what_is_uncounted(spec, allow_factory)
    if not len(images.test):
        raise DenseRunError("there are no test images to measure the dense network on")
    rewind_step = recipe.rewind_step(len(images.train), rewind_epoch)
    identity = fingerprint(
        {
            "kind": "dense_run",
            "version": __version__,
            "images": images.fingerprint,
            "spec": spec.model_dump(mode="json"),
            "recipe": recipe.record(),
            "seed": seed,
            "rewind_step": rewind_step,
            **({"initial": fingerprint_tensors(initial)} if initial is not None else {}),
        }
    )
    if stored is not None and stored.fingerprint == identity:
        return stored
    chosen = pick_device(device)
    model = draw_model(spec, seed=seed, allow_factory=allow_factory)
    if initial is not None:
        model.load_state_dict(initial)
    if not spec.is_reduced:
        check_ignore_layers(model, spec.ignore_layers)
    before: dict[str, Any] = {}
    if weights is not None:  # what they can do before they are trained here
        before = {"theta_0_accuracy": evaluate(model, images.test, device=chosen)["accuracy"]}
    prunable = sum(weight.numel() for weight in prunable_parameters(model, spec.ignore_layers).values())
    training = train(
        model,
        images,
        recipe,
        seed=derive_seed(seed, "dense"),
        snapshot_steps=(0, rewind_step),
        device=chosen,
        checkpoints=checkpoints,
        on_record=on_record,
        label=label,
    )
    test = evaluate(model, images.test, device=chosen)
    metrics = {
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "validation_accuracy": training.history[-1]["validation_accuracy"],
        "seconds": training.seconds,
        "epochs": training.epochs,
        "early_stop_step": training.early_stop_step,
        "prunable": prunable,
        **_name_further(images.task, test),
        **measure_robust_gap(training.history),
        **before,
    }
    return DenseRun(
        spec=spec,
        recipe=recipe,
        seed=seed,
        rewind_step=rewind_step,
        initial=training.snapshots[0],
        rewind=training.snapshots[rewind_step],
        final=training.state,
        history=training.history,
        metrics=metrics,
        images_fingerprint=images.fingerprint,
        fingerprint=identity,
        arithmetic=describe_arithmetic(chosen),
        weights=weights,
    )


def redraw_theta_0(run: DenseRun, seed: int, *, allow_factory: str | None = None) -> State | None:
    """Return theta_0 for another seed if a user has brought it; what the user has not brought is drawn.

    Args:
        run: a dense run.
        seed: of the run to come.
        allow_factory: the user's own model factory, if the run's network is one.

    Returns:
        The state, or None if the seed determines all of it.
    """
    if run.weights is None:
        return None
    drawn = draw_model(run.spec, seed=seed, allow_factory=allow_factory).state_dict()
    fresh = {f"network.{name}" for name in run.weights.fresh}
    return {name: drawn[name] if name in fresh else tensor for name, tensor in run.initial.items()}


def _say_what_is_uncounted(spec: ModelSpec, allow_factory: str | None) -> None:
    """Warn of weights that do not count in D, once in a process; those of a supernet are known."""
    if spec.supernet is not None:
        return
    rows = find_uncounted(spec, allow_factory=allow_factory)
    sentence = f"{spec.name}: {describe_uncounted(rows)}."
    if sentence not in _said and any(row.reason != IGNORED for row in rows):
        _said.add(sentence)
        logger.warning(sentence)


def _name_further(task: TaskName, test: Mapping[str, float]) -> dict[str, Any]:
    """Return what a dense task adds to the metrics; nothing in classification, so its records stay as is."""
    further = {f"test_{name}": value for name, value in test.items() if name not in EVERY_TASK}
    return {"metric": TASKS[task].metric, **further} if further else {}


def check_images(spec: ModelSpec, images: ImageSplits) -> None:
    """Check that a model specification describes these images.

    Raises:
        DenseRunError: it does not; the message names the difference.
    """
    pairs = {
        "task": (find_spec_task(spec), images.task),
        "num_classes": (spec.num_classes, images.num_classes),
        "channels": (spec.channels, images.channels),
        "image_size": (tuple(spec.image_size), tuple(images.image_size)),
    }
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise DenseRunError(f"the model is made for {name} {ours}, but the images have {theirs}")
