"""Robust accuracy: how many images stay right when each may be changed on purpose."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.extras import check_extra
from lottery_pipeline.options.robustness import AdversarialOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.robustness.adversarial_rows import (
    collect_flags,
    count_fooled,
    measure_curve,
    measure_median,
)
from lottery_pipeline.robustness.attacks import ATTACKS, AttackName, list_attacks
from lottery_pipeline.robustness.autoattack import EXTRA, PACKAGE, find_obstacle
from lottery_pipeline.robustness.cascade import Attacked, Cascade, OnBatch, Standing
from lottery_pipeline.robustness.gradient_checks import (
    gives_probabilities,
    is_monotone,
    is_randomised,
    share_of_zero_gradients,
)
from lottery_pipeline.robustness.gradients import negative_margin, weights_frozen
from lottery_pipeline.robustness.rows import make_row
from lottery_pipeline.robustness.threat import Threat, describe
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.device import pick_device, place_model_, seeded
from lottery_pipeline.training.evaluation import EvaluationError, modes_restored

logger = logging.getLogger(__name__)

_IMAGES_CHECKED = 32
_SECONDS_BETWEEN_LINES = 10.0


def measure_adversarial(
    model: nn.Module,
    images: ImageSet,
    indices: Tensor,
    options: AdversarialOptions,
    *,
    seed: int,
    resamples: int,
    confidence: float,
    device: torch.device | str = "cpu",
    checkpoints: Checkpoints | None = None,
    identity: Mapping[str, Any] | None = None,
    label: str = "network",
    on_progress: OnBatch | None = None,
) -> dict[str, Any]:
    """Attack a network on some images within growing distances.

    Every image that counts as fooled was misclassified in a pass of its own and lies within the threat.
    Everything is float32. The model is moved to the device; its modes are restored.

    Args:
        model: pixels in [0, 1], ``[N, C, H, W]``, to logits ``[N, K]``; evaluation mode is set here.
        images: with classes.
        indices: int64, which of them are attacked.
        options: attacks, distances and budgets; ``options.images`` is not read.
        seed: of everything drawn; the start points of an image are the same for every network.
        resamples: of the bootstrap.
        confidence: of the intervals.
        device: where to compute.
        checkpoints: the state is saved there after every batch, and no finished batch is attacked again.
        identity: what determines the network, as plain JSON.
        label: of the network, for the log.
        on_progress: called after each batch, once it is saved.

    Returns:
        Plain JSON:

        - ``rows``: ``clean_accuracy`` and ``robust_accuracy`` by eps with Wilson intervals; ``median_eps``,
          the least eps at which half of the images are fooled, with its bootstrap interval (None: above all
          that was tried); the flags below that are numbers.
        - ``least_eps``: for each image the smallest eps of the curve, or the distance that FMN found, at
          which it is fooled; 0.0 if it is wrong unchanged, None if no attack fooled it. FMN's may lie above
          the largest eps of the curve.
        - ``eps``: of the curve.
        - ``fooled_by``: images by attack.
        - ``gradients``: how many images were differentiated.
        - ``attacked``: how many images were attacked, each once for every attack and eps.
        - ``flags``: ``randomised``, ``looks_like_probabilities``, ``zero_gradient_share``, ``not_monotone``
          (None without PGD), ``black_box_stronger`` (None unless Square ran after a white-box attack),
          ``unverified`` (images that an attack claimed in vain), ``left_out`` (attacks that could not run,
          with the reason; may be empty) and, if AutoAttack ran, ``autoattack_<warning>``.

    Raises:
        EvaluationError: there are no images, or they have no classes.
        ValueError: AutoAttack is asked for and not installed.
    """
    if not len(indices):
        raise EvaluationError("there are no images to attack")
    if images.task != "classification":
        raise EvaluationError(f"attacks need images with classes, but these are for {images.task}")
    if "autoattack" in options.attacks:
        check_extra(PACKAGE, EXTRA)
    device, indices = pick_device(device), indices.cpu()
    chosen = ImageSet(images.images[indices], images.labels[indices]).to(device)
    own = fingerprint(
        {
            "computation": "adversarial",
            "version": __version__,
            "identity": dict(identity or {}),
            "images": fingerprint_tensors(
                {"images": chosen.images, "labels": chosen.labels, "indices": indices}
            ),
            "options": options.model_dump(mode="json", exclude={"images"}),
            "device": device.type,
            "seed": seed,
        }
    )
    with modes_restored(model), weights_frozen(model):
        place_model_(model, device)
        model.eval()
        saved = None if checkpoints is None else checkpoints.load(own)
        if saved is None:
            with seeded(device, derive_seed(seed, "look")):
                standing = _look(model, chosen, indices, options, seed)
        else:
            standing = Standing.join(*saved)
        attacks, obstacles = _select_attacks(model, chosen, options)
        cascade = Cascade(
            model,
            chosen,
            indices,
            options,
            attacks,
            seed=seed,
            standing=standing,
            checkpoints=checkpoints,
            fingerprint=own,
            on_batch=_log_batches(label, options, len(chosen), on_progress),
        )
        eps = cascade.run()
    flags = collect_flags(standing, attacks, obstacles)
    if flags["looks_like_probabilities"]:
        logger.warning(
            "%s: its outputs look like probabilities; attacks need logits, so too few images are fooled.",
            label,
        )
    return {
        "rows": [
            *measure_curve(standing, options.norm, eps, confidence),
            measure_median(standing, options.norm, resamples=resamples, seed=seed, confidence=confidence),
            *(
                make_row("check", "adversarial", f"flag_{name}", float(value))
                for name, value in flags.items()
                if isinstance(value, int | float)
            ),
        ],
        "least_eps": [value if math.isfinite(value) else None for value in standing.least.tolist()],
        "eps": eps,
        "fooled_by": {name: count_fooled(standing, name) for name in attacks},
        "gradients": standing.gradients,
        "attacked": standing.attacked,
        "flags": flags,
    }


def _look(
    model: nn.Module, images: ImageSet, indices: Tensor, options: AdversarialOptions, seed: int
) -> Standing:
    """Look at the unchanged images, and check the network before it is attacked."""
    margins, rights = [], []
    for start in range(0, len(images), options.batch_size):
        pixels, labels = _take(images, slice(start, start + options.batch_size))
        with torch.no_grad():
            logits = model(pixels)
        margins.append(negative_margin(logits, labels).cpu())
        rights.append((logits.argmax(1) == labels).cpu())
    right = torch.cat(rights)
    order = torch.cat(margins).argsort(descending=True, stable=True)
    order = order[right[order]]
    checks: dict[str, Any] = {"zero_gradient_share": 0.0, "not_monotone": None}
    pixels, labels = _take(images, slice(_IMAGES_CHECKED))
    checks |= {
        "randomised": is_randomised(model, pixels),
        "looks_like_probabilities": gives_probabilities(model, pixels),
    }
    some = right.nonzero().squeeze(1)[:_IMAGES_CHECKED]
    if len(some):
        pixels, labels = _take(images, some.to(images.labels.device))
        checks["zero_gradient_share"] = share_of_zero_gradients(model, pixels, labels)
        if "pgd" in options.attacks:
            checks["not_monotone"] = not is_monotone(
                model,
                pixels,
                labels,
                Threat(options.norm, options.eps[-1]),
                steps=options.steps,
                step_size=options.step_size,
                seed=seed,
                indices=indices[some],
            )
    return Standing(
        least=torch.where(right, torch.inf, 0.0).double(),
        fooled_by=torch.full((len(images),), -1),
        order=order,
        queue=order[:0],
        checks=checks,
    )


def _take(images: ImageSet, places: slice | Tensor) -> tuple[Tensor, Tensor]:
    return to_pixels(images.images[places].permute(0, 2, 3, 1)), images.labels[places]


def _select_attacks(
    model: nn.Module, images: ImageSet, options: AdversarialOptions
) -> tuple[list[AttackName], dict[AttackName, str]]:
    """Return the attacks that can run, and for the others the reason why not."""
    with torch.no_grad():
        classes = model(_take(images, slice(2))[0]).shape[1]  # batch norm may need two
    obstacles: dict[AttackName, str] = {}
    if "autoattack" in options.attacks:
        for part in options.autoattack.parts:
            size = images.images.shape[2:]
            if (reason := find_obstacle(part, options.norm, classes=classes, size=size)) is not None:
                obstacles[part] = reason
    return [name for name in list_attacks(options) if name not in obstacles], obstacles


def _log_batches(label: str, options: AdversarialOptions, count: int, on_progress: OnBatch | None) -> OnBatch:
    told = time.monotonic()

    def tell(batch: Attacked) -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            where = "" if batch.eps is None else f" at {describe(Threat(options.norm, batch.eps))}"
            attack = ATTACKS[batch.attack].label
            logger.info("%s: %s%s, %d of %d images stand.", label, attack, where, batch.standing, count)
        if on_progress is not None:
            on_progress(batch)

    return tell
