"""Attacks that train the stolen network further."""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.models.head import find_head, read_features
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.ties import find_tied_layers
from lottery_pipeline.ownership.attacks.training import (
    count_epochs,
    descend,
    fine_tune,
    shorten,
    train_on,
    zero_pattern,
)
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import modes_restored


def fine_tune_sparse(
    victim: Victim, *, learning_rate: float = 0.01, epoch_share: float = 0.1, data_share: float = 1.0
) -> nn.Module:
    """A1: train on with the mask kept, so that no pruned weight comes back.

    Args:
        victim: stays as it is.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs; at least one epoch over the data used.
        data_share: part of the training images.
    """
    model = victim.build()
    return fine_tune(
        victim,
        model,
        "A1",
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        data_share=data_share,
        masks=zero_pattern(victim.weights(model)),
    )


def fine_tune_dense(
    victim: Victim, *, learning_rate: float = 0.01, epoch_share: float = 0.1, data_share: float = 1.0
) -> nn.Module:
    """A2: train on without the mask, so that every pruned weight may come back; arguments as in A1."""
    return fine_tune(
        victim,
        victim.build(),
        "A2",
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        data_share=data_share,
    )


def fine_tune_head(
    victim: Victim,
    *,
    layers: Literal["last", "all"],
    fresh_head: bool,
    learning_rate: float = 0.01,
    epoch_share: float = 0.1,
) -> nn.Module:
    """A3: the four ways to fine-tune of Adi et al. (arXiv 1802.04633), with the mask kept.

    They call them FTLL, FTAL, RTLL and RTAL. Batch-norm statistics follow the images in all four.

    Args:
        victim: stays as it is.
        layers: ``last`` trains the classification layer alone, ``all`` every layer.
        fresh_head: first draw new weights for the classification layer, and leave it without a mask.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.
    """
    model, spec = victim.build(), victim.ticket.header.spec
    head = _find_head(model, victim.images)
    masks = zero_pattern(victim.weights(model))
    if fresh_head:
        fresh = _build_stranger(victim, spec, "A3")
        model.get_submodule(head).load_state_dict(fresh.get_submodule(head).state_dict())
        masks.pop(f"{head}.weight", None)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(layers == "all" or name.startswith(f"{head}."))
    epochs = count_epochs(victim, epoch_share)
    fine_tune(victim, model, "A3", epochs=epochs, learning_rate=learning_rate, masks=masks)
    return model.requires_grad_()


def transfer(victim: Victim, *, learning_rate: float = 0.01, epoch_share: float = 0.33) -> nn.Module:
    """A4: train on for another data set, with the mask kept.

    If the number of classes differs, the classification layer is replaced by a fresh one without a mask.
    Pixels are normalised by the statistics of the new images.

    Args:
        victim: stays as it is; its ``other_images`` are trained on.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.

    Raises:
        OwnershipError: there are no other images, or they have another shape.
    """
    images, spec = victim.other_images, victim.ticket.header.spec
    if images is None:
        raise OwnershipError(
            "this attack needs other_images, the data set that the network is transferred to"
        )
    if (images.channels, images.image_size) != (spec.channels, spec.image_size):
        raise OwnershipError(
            f"the other images must have {spec.channels} channels and the size {spec.image_size}, "
            f"but have {images.channels} and {images.image_size}"
        )
    changes = {"num_classes": images.num_classes, "mean": images.mean, "std": images.std}
    changes["behaviour"] = None  # that of a network for these classes
    model = _build_stranger(victim, spec.model_copy(update=changes), "A4")
    head = _find_head(model, images)
    fresh_head = images.num_classes != spec.num_classes
    state = victim.ticket.state
    kept = [name for name in state if not (fresh_head and name.startswith(f"{head}."))]
    model.load_state_dict({**model.state_dict(), **{name: state[name] for name in kept}})
    masks = zero_pattern(victim.weights(model))
    if fresh_head:
        masks.pop(f"{head}.weight", None)
    return fine_tune(
        victim,
        model,
        "A4",
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        masks=masks,
        images=train_on(images, images.train),
    )


def fine_tune_adversarially(
    victim: Victim, *, epsilon: float, steps: int = 3, learning_rate: float = 0.01, epoch_share: float = 0.1
) -> nn.Module:
    """A27: train on images and their adversarial copies in equal parts, with the mask kept.

    The copies are made by projected gradient descent with a random start (Madry et al., arXiv 1706.06083),
    against the network in evaluation mode. Mixing with clean images keeps the attacker's accuracy.

    Args:
        victim: stays as it is.
        epsilon: largest change of a pixel, in units of [0, 1].
        steps: of the descent, each 2.5 epsilon / steps long.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.
    """
    model = victim.build()

    def loss(pixels: Tensor, labels: Tensor) -> Tensor:
        perturbed = _perturb(model, pixels, labels, epsilon=epsilon, steps=steps)
        return F.cross_entropy(model(torch.cat([pixels, perturbed])), torch.cat([labels, labels]))

    recipe = shorten(victim.recipe, learning_rate=learning_rate, epochs=count_epochs(victim, epoch_share))
    masks = zero_pattern(victim.weights(model))
    return descend(victim, model, loss, "A27", recipe=recipe, train_set=victim.images.train, masks=masks)


def regularise_features(
    victim: Victim, *, strength: float, learning_rate: float = 0.01, epoch_share: float = 0.1
) -> nn.Module:
    """A29: train on while the features are pulled towards those of a stranger, with the mask kept.

    Features are the inputs of the classification layer, scaled to length 1 for every image. The stranger is a
    network of the same architecture with fresh weights, in evaluation mode. The loss is the cross-entropy
    plus ``strength`` times the mean squared distance of the two features. Deviation: published attacks of
    this family penalise the weights or the features by themselves; a target makes the pull visible.

    Args:
        victim: stays as it is.
        strength: of the pull; 0 is plain fine-tuning.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.
    """
    model, spec = victim.build(), victim.ticket.header.spec
    head = _find_head(model, victim.images)
    stranger = _build_stranger(victim, spec, "A29").to(pick_device(victim.device)).eval()

    def loss(pixels: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            _, wanted = read_features(stranger, head, pixels)
        logits, found = read_features(model, head, pixels)
        distance = (F.normalize(found) - F.normalize(wanted)).square().sum(1).mean()
        return F.cross_entropy(logits, labels) + strength * distance

    recipe = shorten(victim.recipe, learning_rate=learning_rate, epochs=count_epochs(victim, epoch_share))
    masks = zero_pattern(victim.weights(model))
    return descend(victim, model, loss, "A29", recipe=recipe, train_set=victim.images.train, masks=masks)


def smooth_labels(
    victim: Victim, *, smoothing: float, learning_rate: float = 0.01, epoch_share: float = 0.1
) -> nn.Module:
    """A30: train on with smoothed labels, with the mask kept.

    Args:
        victim: stays as it is.
        smoothing: probability that is spread evenly over all classes.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.
    """
    model = victim.build()
    return fine_tune(
        victim,
        model,
        "A30",
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        masks=zero_pattern(victim.weights(model)),
        label_smoothing=smoothing,
    )


def _find_head(model: nn.Module, images: ImageSplits) -> str:
    """Return the name of the classification layer.

    Raises:
        ModelError: the network does not end in a linear layer.
        OwnershipError: the layer shares its weight with another.
    """
    shown = images.train.images[:2].cpu()
    head = find_head(model, to_pixels(shown.permute(0, 2, 3, 1)))
    if head in find_tied_layers(model):
        raise OwnershipError(
            "this attack needs a last linear layer that shares its weight with no other layer"
        )
    return head


def _build_stranger(victim: Victim, spec: ModelSpec, label: str) -> Classifier:
    seed = derive_seed(victim.seed, label, "fresh weights")
    return build_model(spec, seed=seed, allow_factory=victim.ticket.allow_factory)


def _perturb(model: nn.Module, pixels: Tensor, labels: Tensor, *, epsilon: float, steps: int) -> Tensor:
    """Return adversarial copies of pixels, drawing the start from the default generator."""
    noise = torch.rand(pixels.shape).to(pixels.device)  # on the CPU: the same on every device
    perturbed = (pixels + epsilon * (2 * noise - 1)).clamp(0, 1)
    with modes_restored(model):
        model.eval()
        for _ in range(steps):
            perturbed.requires_grad_()
            loss = F.cross_entropy(model(perturbed), labels)
            [gradient] = torch.autograd.grad(loss, perturbed, allow_unused=True)
            if gradient is None:
                raise OwnershipError(
                    "this attack needs the gradient by the pixels, which this network cuts off"
                )
            moved = perturbed.detach() + 2.5 * epsilon / steps * gradient.sign()
            perturbed = (pixels + (moved - pixels).clamp(-epsilon, epsilon)).clamp(0, 1)
    return perturbed
