"""A slow, plain training: one image at a time, masks in the forward pass, torch.optim, no shortcuts."""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.training.recipe import Recipe


def augment_naively(
    image: np.ndarray, *, top: int, left: int, flip: bool, padding: int, mode: str
) -> np.ndarray:
    """Pad, crop and flip one image [C, H, W]."""
    _, height, width = image.shape
    sides = ((0, 0), (padding, padding), (padding, padding))
    padded = np.pad(image, sides, mode="reflect" if mode == "reflect" else "constant")
    crop = padded[:, top : top + height, left : left + width]
    return crop[:, :, ::-1] if flip else crop


def batches_naively(
    image_set: ImageSet, recipe: Recipe, *, seed: int, epoch: int
) -> list[tuple[Tensor, Tensor]]:
    """All batches of an epoch, image by image, from the same random draws as the fast code."""
    count, size = len(image_set), recipe.batch_size
    generator = make_generator(seed, "epoch", epoch)
    order = torch.randperm(count, generator=generator).tolist()
    parts = [order[start : start + size] for start in range(0, count, size)]
    corners = torch.randint(2 * recipe.crop_padding + 1, (2, count), generator=generator)
    flips = [0.0] * len(parts)
    if recipe.flip:
        sizes = torch.tensor([float(len(part)) for part in parts])
        flips = torch.binomial(sizes, torch.full_like(sizes, 0.5), generator=generator).tolist()
    batches: list[tuple[Tensor, Tensor]] = []
    for number, part in enumerate(parts):
        pictures = []
        for place, index in enumerate(part):
            top, left = corners[:, number * size + place].tolist()
            picture = augment_naively(
                image_set.images[index].numpy(),
                top=top,
                left=left,
                flip=recipe.flip and place < flips[number],
                padding=recipe.crop_padding,
                mode=recipe.crop_mode,
            )
            pictures.append(torch.tensor(picture.copy(), dtype=torch.float32) * (1 / 255))
        batches.append((torch.stack(pictures), image_set.labels[part]))
    return batches[:-1] if len(parts[-1]) == 1 else batches


def learning_rate_naively(recipe: Recipe, step: int, images: int) -> float:
    """Learning rate of a step, from the definition."""
    per_epoch = recipe.steps_per_epoch(images)
    total = recipe.total_steps(images)
    warmup = round(recipe.warmup_epochs * per_epoch)
    rate = recipe.learning_rate
    if recipe.schedule == "step":
        for milestone in recipe.milestones:
            if step >= round(milestone * per_epoch):
                rate *= recipe.gamma
    if recipe.schedule == "cosine" and step >= warmup:
        rate *= (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
    return rate * (step + 1) / warmup if step < warmup else rate


def make_optimiser(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of torch that the recipe means, in its plainest implementation."""
    rate, decay, beta = recipe.learning_rate, recipe.weight_decay, recipe.momentum
    if recipe.optimiser in ("adam", "adamw"):
        kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
        return kind(parameters, lr=rate, betas=(beta, 0.999), weight_decay=decay, foreach=False)
    nesterov = recipe.optimiser == "nesterov"
    return torch.optim.SGD(
        parameters, lr=rate, momentum=beta, weight_decay=decay, nesterov=nesterov, foreach=False
    )


def train_naively(
    model: nn.Module,
    image_set: ImageSet,
    recipe: Recipe,
    *,
    seed: int,
    masks: dict[str, Tensor] | None = None,
    start_step: int = 0,
) -> list[float]:
    """Train in place with ``mask * weight`` in every forward pass; return the loss of every step.

    Only the kept weights are comparable with the fast code: the pruned ones drift here, unseen.
    """
    masks = masks or {}
    parameters = dict(model.named_parameters())
    optimiser = make_optimiser(list(parameters.values()), recipe)
    per_epoch, total = recipe.steps_per_epoch(len(image_set)), recipe.total_steps(len(image_set))
    losses = []
    model.train()
    for step in range(start_step, total):
        epoch, place = divmod(step, per_epoch)
        pixels, labels = batches_naively(image_set, recipe, seed=seed, epoch=epoch)[place]
        seen = {name: p * masks[name] if name in masks else p for name, p in parameters.items()}
        logits = torch.func.functional_call(model, seen, (pixels,))
        loss = F.cross_entropy(
            logits, labels, label_smoothing=recipe.label_smoothing, reduction=recipe.loss_reduction
        )
        optimiser.zero_grad()
        loss.backward()
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(list(parameters.values()), recipe.clip_norm)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_naively(recipe, step, len(image_set))
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses
