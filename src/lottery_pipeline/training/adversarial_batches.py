"""Adversarial training: batches whose images an attack has changed, and accuracy under that attack.

The attack sees the network in evaluation mode: with tracked batch-norm statistics, which it leaves as they
are, and without dropout, so it draws no numbers but those of its start. Images do not depend on one another
then. It is one of two usual choices: training mode makes slightly stronger attacks, evaluation mode keeps
more accuracy on clean images at the same robustness (arXiv 2010.00467).
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lottery_pipeline.images.balls import draw_unit_ball, project, steepest
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.adversary import Adversary
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.evaluation import autocast, modes_restored
from lottery_pipeline.training.recipe import Precision, Recipe

_VALIDATION_STEPS = 10  # of PGD, eps / 4 each, whatever the attack of the training
_VALIDATION_IMAGES = 1000  # at most: ten gradients for each of 5,000 would be a large share of an epoch
_VALUES_PER_BATCH = 2**20
_LARGEST_BATCH = 512


def choose_perturbation(
    recipe: Recipe, *, extra: int
) -> Callable[[nn.Module, Tensor, Tensor], Tensor] | None:
    """Return ``perturb_batch`` as a recipe wants it, to be called with network, images and labels.

    Args:
        recipe: of the training.
        extra: number of images at the end of every batch that stay as they are.

    Returns:
        None without an adversary.
    """
    if recipe.adversary is None:
        return None
    return partial(perturb_batch, adversary=recipe.adversary, extra=extra, precision=recipe.precision)


def perturb_batch(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    adversary: Adversary,
    *,
    extra: int = 0,
    precision: Precision = "float32",
) -> Tensor:
    """Replace the images of a training batch by adversarial ones.

    The start is drawn from the default generator of the images' device, as dropout is.

    Args:
        network: pixels in [0, 1] to logits; its modes are restored.
        images: pixels in [0, 1], [B, C, H, W].
        labels: int64 [B].
        adversary: the attack.
        extra: number of images at the end that stay as they are.
        precision: of the attack's forward passes.

    Returns:
        Pixels in [0, 1], [B, C, H, W], within eps of the images.
    """
    count = len(images) - extra
    changed = images[:count]
    found = _climb(
        network,
        changed,
        labels[:count],
        draw_start(changed, adversary),
        adversary,
        steps=adversary.count_steps(),
        step_size=adversary.find_step_size(),
        precision=precision,
    )
    return torch.cat([found, images[count:]]) if extra else found


def robust_columns(
    model: nn.Module, validation: ImageSet, adversary: Adversary | None, *, seed: int
) -> dict[str, float]:
    """Return what a history row says of the accuracy under attack: nothing without an adversary.

    Returns:
        ``robust_validation_accuracy``, see ``measure_robust_accuracy``.
    """
    if adversary is None:
        return {}
    found = measure_robust_accuracy(model, validation, adversary, seed=seed)
    return {"robust_validation_accuracy": found}


def measure_robust_accuracy(
    model: nn.Module, image_set: ImageSet, adversary: Adversary, *, seed: int
) -> float:
    """Return the fraction of images that are right after PGD with 10 steps of eps / 4, in float32.

    A number to watch a training by, not one to report: a single attack is an optimistic measure.

    Args:
        model: pixels in [0, 1] to logits; its modes are restored.
        image_set: one class per image, at least one image; on the device of the model. Of more than 1,000
            images, 1,000 are taken, evenly spread.
        adversary: gives norm and eps; the attack is the same for either kind.
        seed: determines the start of the attack, on every device alike.
    """
    device = image_set.images.device
    size = max(1, min(_LARGEST_BATCH, _VALUES_PER_BATCH // image_set.images[0].numel()))
    right = torch.zeros((), dtype=torch.int64, device=device)
    count = min(len(image_set), _VALIDATION_IMAGES)
    chosen = torch.arange(count, device=device) * len(image_set) // count  # the images are sorted by class
    parts = list(chosen.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:  # batch norm without statistics has no variance there
        parts[-2:] = [torch.cat(parts[-2:])]
    for number, part in enumerate(parts):
        images = to_pixels(image_set.images[part].permute(0, 2, 3, 1))
        labels = image_set.labels[part]
        generator = make_generator(seed, "robust validation", number)
        found = _climb(
            model,
            images,
            labels,
            draw_start(images.cpu(), adversary, generator).to(device),
            adversary,
            steps=_VALIDATION_STEPS,
            step_size=adversary.eps / 4,
            precision="float32",
        )
        with torch.no_grad(), modes_restored(model):
            right = right + (model.eval()(found).argmax(1) == labels).sum()
    return int(right) / count


def draw_start(images: Tensor, adversary: Adversary, generator: torch.Generator | None = None) -> Tensor:
    """Return random points of the balls around images, within [0, 1]: uniform in the ball before the box."""
    noise = draw_unit_ball(images, adversary.norm, generator)
    return (images + adversary.eps * noise).clamp_(0, 1)


def _climb(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    adversary: Adversary,
    *,
    steps: int,
    step_size: float,
    precision: Precision,
) -> Tensor:
    """Climb the cross-entropy from the start, step by projected step, in evaluation mode."""
    found = start
    with modes_restored(network):
        network.eval()
        for _ in range(steps):
            found.requires_grad_()
            with autocast(images.device, precision):
                logits = network(found)
            # A sum: the gradient of an image does not depend on how many others are in the batch.
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, found)  # of the pixels alone: a third of the work saved
            step = step_size * steepest(gradient, adversary.norm)
            found = project(found.detach() + step, images, adversary.norm, adversary.eps)
    return found
