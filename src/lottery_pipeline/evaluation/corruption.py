"""Other training images for a search: corrupted, or half of them (Su et al., NeurIPS 2020).

Validation and test part, class names, mean and standard deviation stay, so the network is the same.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.images.stored import StoredImages, store_for_now
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.seeds import make_generator

_IMAGES_AT_ONCE = 1024


def corrupt_images(images: ImageSplits, *, seed: int) -> ImageSplits:
    """Permute the training labels, and the pixels of every training image by a permutation of its own.

    All channels of a pixel move together: the colours and their counts stay, the picture is gone.

    Args:
        images: left as they are.
        seed: determines the permutations.
    """
    train, pixels = images.train, images.train.images
    order = torch.randperm(len(train), generator=make_generator(seed, "labels")).to(train.labels.device)
    parts = _shuffle_pixels(pixels, seed)
    if isinstance(pixels, StoredImages):
        shuffled: Tensor | StoredImages = store_for_now(parts, pixels.shape, beside=pixels.file.path)
    else:
        shuffled = torch.cat([*parts])
    return _with_train(images, ImageSet(shuffled, train.labels[order]), "corrupted", seed)


def halve_images(images: ImageSplits, *, seed: int) -> ImageSplits:
    """Keep a random half of the training images of every class, rounded up, in their order.

    Args:
        images: left as they are.
        seed: determines the choice.
    """
    train = images.train
    order = torch.randperm(len(train), generator=make_generator(seed, "half")).to(train.labels.device)
    members = [order[train.labels[order] == label] for label in range(images.num_classes)]
    chosen = torch.cat([indices[: (len(indices) + 1) // 2] for indices in members]).sort().values
    return _with_train(images, train.select(chosen), "half", seed)


def _shuffle_pixels(images: Tensor | StoredImages, seed: int) -> Iterator[Tensor]:
    """Yield the images part by part, shuffled."""
    generator = make_generator(seed, "pixels")
    for part in images.split(_IMAGES_AT_ONCE):
        flat = part.flatten(2)  # [n, C, H * W]
        order = torch.rand(len(flat), 1, flat.shape[2], generator=generator).argsort(2).to(flat.device)
        yield flat.gather(2, order.expand_as(flat)).view_as(part)


def _with_train(images: ImageSplits, train: ImageSet, change: str, seed: int) -> ImageSplits:
    own = fingerprint({"images": images.fingerprint, "change": change, "seed": seed})
    return replace(images, train=train, fingerprint=own)
