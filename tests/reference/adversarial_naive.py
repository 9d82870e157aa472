"""Attacks image by image and eps by eps, without a cascade, batches or early ends."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lottery_pipeline.images.balls import project, steepest
from lottery_pipeline.options.robustness import AdversarialOptions
from lottery_pipeline.robustness.fgsm import fgsm
from lottery_pipeline.robustness.fmn import fmn
from lottery_pipeline.robustness.noise import draw_noise
from lottery_pipeline.robustness.threat import Threat


def find_first_steps(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    *,
    steps: int,
    seed: int,
    indices: Tensor,
    step_size: float | None = None,
) -> list[int | None]:
    """The step of PGD after which each image is misclassified for the first time; 0 is its start point."""
    size = 2.5 * threat.eps / steps if step_size is None else step_size
    found: list[int | None] = []
    for image, label, index in zip(images, labels, indices, strict=True):
        clean = image[None]
        noise = draw_noise(index[None], image.shape, threat.norm, seed=seed, restart=0)
        current = project(clean + threat.eps * noise, clean, threat.norm, threat.eps)
        first = None
        for step in range(steps + 1):
            pixels = current.clone().requires_grad_()
            logits = model(pixels)
            if first is None and int(logits.argmax()) != int(label):
                first = step
            (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, label[None]), pixels)
            current = project(
                current + size * steepest(gradient, threat.norm), clean, threat.norm, threat.eps
            )
        found.append(first)
    return found


def count_gradients_naively(first: Sequence[int | None], *, steps: int) -> int:
    """Gradients of one batch, which is packed anew once half of it is fooled."""
    batch, total = list(first), 0
    for step in range(steps):
        total += len(batch)
        standing = [other for other in batch if other is None or other > step]
        if not standing:
            break
        if 2 * len(standing) <= len(batch):
            batch = standing
    return total


def find_least_eps(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    indices: Tensor,
    options: AdversarialOptions,
    eps: Sequence[float],
    *,
    seed: int,
) -> list[float | None]:
    """Every attack at every eps on every image alone; the least eps at which one succeeds."""
    least: list[float | None] = []
    for image, label, index in zip(images, labels, indices, strict=True):
        one, own = image[None], label[None]
        found = [] if int(model(one).argmax()) == int(label) else [0.0]
        if "fmn" in options.attacks:
            found += fmn(model, one, own, options.norm, steps=options.fmn_steps)[1].double().tolist()
        for value in eps:
            threat = Threat(options.norm, value)
            if "fgsm" in options.attacks and int(model(fgsm(model, one, own, threat)).argmax()) != int(label):
                found.append(value)
            given = {"steps": options.steps, "step_size": options.step_size, "seed": seed}
            if "pgd" in options.attacks and find_first_steps(
                model, one, own, threat, indices=index[None], **given
            ) != [None]:
                found.append(value)
        smallest = min(found, default=float("inf"))
        least.append(None if smallest == float("inf") else smallest)
    return least
