"""How attackers train: shorter, on less data, with a loss of their own if need be."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator
from lottery_pipeline.sparsity.masks import Masks, Weights
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.device import pick_device, place_model_, seeded
from lottery_pipeline.training.evaluation import fixed_batches, recompute_batchnorm_
from lottery_pipeline.training.loop import DivergenceError, train
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]  # (pixels [N, C, H, W], labels [N]) -> scalar
Network = TypeVar("Network", bound=nn.Module)

GRADIENT_IMAGES = 512
_IMAGES_AT_ONCE = 512


def check_share(name: str, share: float) -> None:
    """Refuse a share that is not above 0 and at most 1.

    Raises:
        OwnershipError: it is not.
    """
    if not 0 < share <= 1:
        raise OwnershipError(f"{name} must be above 0 and at most 1, got {share!r}")


def count_epochs(victim: Victim, share: float) -> int:
    """Return a share of the epochs of the original training, rounded, at least 1.

    Raises:
        OwnershipError: the share is not above 0 and at most 1.
    """
    check_share("epoch_share", share)
    count = len(victim.images.train)
    return max(1, round(share * victim.recipe.total_steps(count) / victim.recipe.steps_per_epoch(count)))


def shorten(recipe: Recipe, *, learning_rate: float, epochs: int, **changes: Any) -> Recipe:
    """Return the recipe of a fine-tuning: constant rate, no warm-up, other values as they were.

    The loss is the mean over the batch, whatever it was: the published learning rates belong to a mean.
    """
    return recipe.replace(
        learning_rate=learning_rate,
        epochs=epochs,
        schedule="constant",
        warmup_epochs=0.0,
        loss_reduction="mean",
        **changes,
    )


def take_share(victim: Victim, share: float, label: str) -> ImageSet:
    """Return a random part of the attacker's training images, in their order, at least 2 of them.

    Raises:
        OwnershipError: the share is not above 0 and at most 1.
    """
    check_share("data_share", share)
    train = victim.images.train
    if share == 1:
        return train
    order = torch.randperm(len(train), generator=make_generator(victim.seed, label, "data"))
    chosen = order[: max(2, round(share * len(train)))].sort().values.to(train.labels.device)
    return train.select(chosen)


def train_on(images: ImageSplits, train_set: ImageSet) -> ImageSplits:
    """Return splits with other training images and no validation images, which attackers do not look at."""
    content = fingerprint_tensors({"images": train_set.images, "labels": train_set.labels})
    empty = ImageSet(train_set.images[:0], train_set.labels[:0])
    own = fingerprint({"images": images.fingerprint, "train": content})
    return replace(images, train=train_set, validation=empty, fingerprint=own)


def zero_pattern(weights: Mapping[str, Tensor]) -> Masks:
    """Return masks that keep the weights which are not 0."""
    return {name: weight.detach() != 0 for name, weight in weights.items()}


def fine_tune(
    victim: Victim,
    model: Network,
    label: str,
    *,
    epochs: int,
    learning_rate: float = 0.01,
    data_share: float = 1.0,
    masks: Masks | None = None,
    images: ImageSplits | None = None,
    margin: Margin | None = None,
    **changes: Any,
) -> Network:
    """Train a network in place as an attacker would.

    Args:
        victim: gives images, recipe, seed and device.
        model: changed; ends in evaluation mode on the CPU.
        label: the attack, from which the seed is derived.
        epochs: number of epochs, over as much data as there is.
        learning_rate: constant.
        data_share: part of the training images that is used.
        masks: weights that may differ from 0, by name; None trains all.
        images: made by ``train_on``; by default a share of the victim's.
        margin: keeps chosen weights from becoming small; they must be among the masked ones.
        changes: to the recipe.

    Raises:
        DivergenceError: a loss or a weight is not finite.
    """
    if images is None:
        images = train_on(victim.images, take_share(victim, data_share, label))
    train(
        model,
        images,
        shorten(victim.recipe, learning_rate=learning_rate, epochs=epochs, **changes),
        seed=derive_seed(victim.seed, label, "training"),
        masks=masks,
        device=victim.device,
        checkpoints=victim.checkpoints,
        label=f"attack {label}",
        margin=margin,
    )
    return settle(model)


def descend(
    victim: Victim,
    model: Network,
    loss: Loss,
    label: str,
    *,
    recipe: Recipe,
    train_set: ImageSet,
    masks: Masks | None = None,
) -> Network:
    """Minimise a loss that the training loop does not know, in place and in float32.

    Args:
        victim: gives seed and device.
        model: changed; in training mode on the device while the loss is computed, at the end in evaluation
            mode on the CPU.
        loss: of a batch of pixels in [0, 1] and labels, both on the device.
        label: the attack, from which the seed is derived.
        recipe: batches, optimiser and learning rates.
        train_set: images; their labels may be any whole numbers that the loss understands.
        masks: weights that may differ from 0, by name; pruned weights must be 0 already.

    Raises:
        DivergenceError: a loss is not finite.
    """
    device, seed = pick_device(victim.device), derive_seed(victim.seed, label, "training")
    place_model_(model, device)
    model.train()
    optimiser = MaskedOptimiser(model, recipe, masks)
    batches = Batches(train_set, recipe, seed=seed, device=device)
    steps = recipe.steps_per_epoch(len(train_set))
    with seeded(device, derive_seed(seed, "draws")):
        for step, rate in enumerate(recipe.learning_rates(len(train_set))):
            if step % steps == 0:
                batches.start_epoch(step // steps)
            value = loss(*batches.get(step % steps))
            value.backward()
            optimiser.step(rate)
            if step % steps == steps - 1 and not bool(value.isfinite()):
                raise DivergenceError(f"attack {label} diverged in epoch {step // steps + 1}")
    return settle(model)


def restore_statistics(victim: Victim, model: Network) -> Network:
    """Re-estimate the batch-norm statistics of a changed network, for the attacker's benefit.

    Without it, accuracy falls because the statistics are those of the old weights, and the attack looks
    dearer than it is. One pass over the training images is made, at most 100 batches.
    """
    train_set = victim.images.train
    size = min(128, len(train_set))
    batches = min(100, len(train_set) // size)
    device = pick_device(victim.device)
    recompute_batchnorm_(model, train_set, device=device, batches=batches, batch_size=size)
    return settle(model)


def measure_gradients(victim: Victim, model: Network, *draw: str | int) -> Weights:
    """Return the gradient of the mean loss for all weights, pruned ones included, on some training images.

    Args:
        victim: gives the images; up to 512 of them are drawn.
        model: in evaluation mode on the CPU.
        draw: the attack, from which the seed is derived.
    """
    train_set = victim.images.train
    order = torch.randperm(len(train_set), generator=make_generator(victim.seed, *draw))
    chosen = order[:GRADIENT_IMAGES].to(train_set.labels.device)
    images, labels = train_set.images[chosen].cpu(), train_set.labels[chosen].cpu()
    weights = victim.weights(model)
    loss = F.cross_entropy(model(to_pixels(images.permute(0, 2, 3, 1))), labels)
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))


@torch.no_grad()
def answer(victim: Victim, image_set: ImageSet) -> Tensor:
    """Return the logits that the ticket's network gives for images, float32 [N, classes], on the CPU."""
    device = pick_device(victim.device)
    model = victim.build().to(device)
    parts = [
        model(to_pixels(part.to(device).permute(0, 2, 3, 1))).float().cpu()
        for part in fixed_batches(model, image_set.images, _IMAGES_AT_ONCE)
    ]
    return torch.cat(parts)[: len(image_set)]


def settle(model: Network) -> Network:
    """Bring a network to the CPU in plain memory layout, in evaluation mode."""
    return model.cpu().to(memory_format=torch.contiguous_format).eval()
