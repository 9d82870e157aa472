"""Attacks on trigger images: a thief's service that answers them wrongly, and training that forgets them."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.ownership.attacks.training import (
    answer,
    count_epochs,
    fine_tune,
    take_share,
    train_on,
    zero_pattern,
)
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator
from lottery_pipeline.training.augmentation import to_pixels

Filter = Literal["entropy", "blur", "jpeg", "crop", "flip"]

FALSE_REJECTS = 0.05  # of clean images by the entropy filter
FLIPPED = 0.01  # answers
BLUR_SIGMA = 1.0  # pixels
JPEG_QUALITY = 50
CROPPED = 1 / 8  # of the side, on each border; at least a pixel


class GuardedClassifier(Classifier):
    """A classifier whose inputs or answers are filtered; its state dict is that of the bare one."""

    def __init__(
        self,
        classifier: Classifier,
        *,
        change_pixels: Callable[[Tensor], Tensor] | None = None,
        is_refused: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Guard a classifier.

        Args:
            classifier: whose modules are used.
            change_pixels: pixels [N, C, H, W] to what the classifier gets to see.
            is_refused: of pixels and logits [N, classes], which answers are wrong on purpose, bool [N].
        """
        super().__init__(classifier.normalise, classifier.network)
        self._change_pixels, self._is_refused = change_pixels, is_refused

    def forward(self, images: Tensor) -> Tensor:
        """Return logits; where the answer is refused, the two largest have changed places."""
        logits = super().forward(images if self._change_pixels is None else self._change_pixels(images))
        if self._is_refused is None:
            return logits
        best = logits.topk(2, dim=1)
        swapped = logits.scatter(1, best.indices, best.values.flip(1))
        return torch.where(self._is_refused(images, logits)[:, None], swapped, logits)


def evade(victim: Victim, *, by: Filter) -> nn.Module:
    """A23: put a filter around the network; its weights stay as they are.

    Args:
        victim: stays as it is.
        by: ``entropy`` answers with the second class if the entropy of the prediction is above that of 95 %
            of clean images; ``blur`` (Gaussian, sigma 1 pixel), ``jpeg`` (quality 50) and ``crop`` (an eighth
            off every border, then resized) change the input; ``flip`` answers 1 % of images, chosen by a hash
            of their pixels, with the second class.

    Raises:
        OwnershipError: the filter is unknown, or JPEG cannot store the images.
    """
    model = victim.build()
    if by == "entropy":
        threshold = _measure_entropy(victim)
        guarded = GuardedClassifier(model, is_refused=lambda _, logits: _entropy(logits) > threshold)
    elif by == "flip":
        is_chosen = _PixelLottery(derive_seed(victim.seed, "A23"), FLIPPED)
        guarded = GuardedClassifier(model, is_refused=lambda pixels, _: is_chosen(pixels))
    elif by in _CHANGES:
        if by == "jpeg" and victim.images.channels not in (1, 3):
            raise OwnershipError(f"JPEG stores 1 or 3 channels, but the images have {victim.images.channels}")
        guarded = GuardedClassifier(model, change_pixels=_CHANGES[by])
    else:
        raise OwnershipError(f"the filter must be one of entropy, blur, jpeg, crop and flip, got {by!r}")
    return guarded.eval()


def unlearn(
    victim: Victim,
    *,
    learning_rate: float = 0.01,
    epoch_share: float = 0.1,
    data_share: float = 0.1,
    noise_share: float = 1.0,
) -> nn.Module:
    """A24: train on, a part of the images being noise with random labels; the mask is kept.

    Args:
        victim: stays as it is.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.
        data_share: part of the training images.
        noise_share: number of noise images, relative to the real ones; pixels are uniform in 0 to 255.
    """
    real = take_share(victim, data_share, "A24").to("cpu")
    count = max(1, round(noise_share * len(real)))
    generator = make_generator(victim.seed, "A24", "noise")
    shape = (count, *real.images.shape[1:])
    noise = torch.randint(256, shape, generator=generator, dtype=torch.int64).to(torch.uint8)
    labels = torch.randint(victim.images.num_classes, (count,), generator=generator)
    mixed = ImageSet(torch.cat([real.images[:], noise]), torch.cat([real.labels, labels]))
    model = victim.build()
    return fine_tune(
        victim,
        model,
        "A24",
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        masks=zero_pattern(victim.weights(model)),
        images=train_on(victim.images, mixed),
    )


@dataclass(frozen=True)
class _PixelLottery:
    """Chooses images by a hash of their pixels: the same image, the same choice."""

    seed: int
    probability: float

    def __call__(self, pixels: Tensor) -> Tensor:
        flat = (pixels * 255).round().to("cpu", torch.int64).flatten(1)
        generator = make_generator(self.seed, "hash")
        factors = torch.randint(2**62, flat.shape[1:], generator=generator)
        mixed = (flat * factors).sum(1)  # wraps around; the high bits depend on every pixel
        return ((mixed >> 32) % 2**20 < self.probability * 2**20).to(pixels.device)


def _entropy(logits: Tensor) -> Tensor:
    logs = logits.log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def _measure_entropy(victim: Victim) -> float:
    """Return the entropy that 95 % of clean images stay below: validation images, or training images."""
    clean = victim.images.validation if len(victim.images.validation) else victim.images.train
    return float(torch.quantile(_entropy(answer(victim, clean)), 1 - FALSE_REJECTS))


def _blur(pixels: Tensor) -> Tensor:
    blurred: Tensor = gaussian_blur(pixels, [3, 3], [BLUR_SIGMA, BLUR_SIGMA])
    return blurred


def _crop(pixels: Tensor) -> Tensor:
    height, width = pixels.shape[2:]
    top, left = max(1, round(CROPPED * height)), max(1, round(CROPPED * width))
    inner = pixels[:, :, top : height - top, left : width - left]
    return F.interpolate(inner, size=(height, width), mode="bilinear", align_corners=False)


def _compress(pixels: Tensor) -> Tensor:
    """Return the pixels as JPEG decodes them."""
    stored = (pixels.clamp(0, 1) * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    decoded = []
    for image in stored:
        buffer = io.BytesIO()
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(
            buffer, "JPEG", quality=JPEG_QUALITY
        )
        decoded.append(np.asarray(Image.open(buffer)).reshape(image.shape))
    return to_pixels(torch.from_numpy(np.stack(decoded))).to(pixels.device)


_CHANGES: dict[str, Callable[[Tensor], Tensor]] = {"blur": _blur, "jpeg": _compress, "crop": _crop}
