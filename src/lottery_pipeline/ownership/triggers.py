"""Trigger sets: images that only the owner's model answers as the owner's key says (Chen et al. 2021, V3).

A model that was trained with a trigger set gives it away through its answers alone. The scheme is that of
Adi et al. (arXiv 1802.04633), as added to tickets in arXiv 2111.00162. It deviates where the published one is
weak: images and labels come from a key and not from a fixed file, whose labels a model may well share by
nature; and what counts is the probability of the hits, not their percentage.

Showing a set to a judge burns it, because whoever has seen it can train it away. So there are several, from
keys of their own, and their leaves form a Merkle tree: one can be shown and checked, the others stay secret.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import torch
from torch import Tensor

from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.significance import binomial_bits
from lottery_pipeline.ownership.trigger_images import draw_shapes, expand, pick_indices, stamp_pattern
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors

Family = Literal["shapes", "pattern"]

KEY_BYTES = 32
MAX_IMAGES = 10_000
MAX_BYTES = 64 * 2**20  # of all images of a set, base images included
_SMALLEST_SIDE, _LARGEST_SIDE = 4, 1024
_MOST_CHANNELS = 16
_LABEL_BYTES = 16


@dataclass(frozen=True, eq=False)
class TriggerSet:
    """Images with the labels that a key gives them.

    Attributes:
        family: ``shapes`` are drawn from nothing; ``pattern`` are training images stamped with a pattern.
        key: 32 secret bytes; whoever has them can draw the set again.
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        bases: of ``pattern``, the images before the stamp, uint8 [N, C, H, W]; else None.
    """

    family: Family
    key: bytes = field(repr=False)
    images: Tensor
    labels: Tensor
    bases: Tensor | None = None

    def __post_init__(self) -> None:
        if self.family not in ("shapes", "pattern"):
            raise OwnershipError(f"a family of triggers is shapes or pattern, not {self.family!r:.40}")
        if len(self.key) != KEY_BYTES:
            raise OwnershipError(f"the key of a trigger set has {KEY_BYTES} bytes, not {len(self.key)}")
        if (self.family == "pattern") != (self.bases is not None):
            raise OwnershipError("a trigger set has base images exactly if it is of the family pattern")
        _check_images(self.images)
        if self.bases is not None and (
            self.bases.dtype != torch.uint8 or self.bases.shape != self.images.shape
        ):
            raise OwnershipError("the base images of a trigger set must have type and shape of its images")
        if self.images.nbytes + (0 if self.bases is None else self.bases.nbytes) > MAX_BYTES:
            raise OwnershipError(f"a trigger set holds at most {MAX_BYTES // 2**20} MiB of images")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise OwnershipError("the labels of a trigger set must be int64, one for each image")

    def __len__(self) -> int:
        return len(self.labels)

    def leaf(self) -> bytes:
        """Return the leaf of the Merkle tree: a hash of 32 bytes over all that the set holds but its key."""
        tensors = {name: tensor for name, tensor in self.to_tensors().items() if name != "key"}
        record = {"family": self.family, "tensors": fingerprint_tensors(tensors)}
        return bytes.fromhex(fingerprint(record))

    def image_set(self) -> ImageSet:
        """Return the set as images to train with or to predict."""
        return ImageSet(self.images, self.labels)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the whole set, its key included, as tensors for a safetensors file; see ``from_tensors``."""
        tensors = {
            "key": torch.tensor(list(self.key), dtype=torch.uint8),
            "images": self.images.contiguous(),
            "labels": self.labels.contiguous(),
        }
        return tensors if self.bases is None else {**tensors, "bases": self.bases.contiguous()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Make a set from what ``to_tensors`` gave, trusting nothing; what it claims is not checked yet.

        Raises:
            OwnershipError: a tensor is missing, unknown, too large, or has another type or shape.
        """
        if set(tensors) - {"bases"} != {"key", "images", "labels"}:
            raise OwnershipError("a trigger set is made of key, images, labels and maybe bases, nothing else")
        key = tensors["key"]
        if key.dtype != torch.uint8 or key.shape != (KEY_BYTES,):
            raise OwnershipError(f"the key of a trigger set must be {KEY_BYTES} bytes")
        family: Family = "pattern" if "bases" in tensors else "shapes"
        return cls(family, bytes(key.tolist()), tensors["images"], tensors["labels"], tensors.get("bases"))


@dataclass(frozen=True)
class TriggerEvidence:
    """How well a model's answers agree with a trigger set.

    Attributes:
        hits: counted images that are answered with their label.
        counted: images that count.
        chance: upper bound of the probability of a hit, for a model that has nothing to do with the key.
        bits: -log2 of the probability of so many hits or more; nothing is charged for tries yet.
    """

    hits: int
    counted: int
    chance: float
    bits: float


def make_trigger_sets(
    keys: Sequence[bytes], images: ImageSplits, *, family: Family = "shapes", count: int = 100
) -> list[TriggerSet]:
    """Make a trigger set from every key; no image is in two of them.

    Base images are training images: set i takes those whose index leaves the remainder i, so that it can be
    made, and shown, without the keys of the others.

    Args:
        keys: 32 secret bytes each, all different.
        images: give shape and classes of the triggers, and the base images.
        family: ``shapes`` or ``pattern``.
        count: images in each set.

    Raises:
        OwnershipError: keys or count are unusable, the images too small, the training images too few, or
            ``pattern`` is asked for with two classes.
    """
    if len(set(keys)) != len(keys) or any(len(key) != KEY_BYTES for key in keys):
        raise OwnershipError(f"the keys of trigger sets must be different and have {KEY_BYTES} bytes each")
    if not 1 <= count <= MAX_IMAGES:
        raise OwnershipError(f"a trigger set has 1 to {MAX_IMAGES} images, not {count}")
    if family == "pattern" and images.num_classes < 3:
        raise OwnershipError("triggers of the family pattern need 3 classes or more; use the family shapes")
    train = images.train.images.cpu()
    sets = []
    for part, key in enumerate(keys):
        bases = None
        if family == "pattern":
            picked = pick_indices(key, len(train), count=count, part=part, parts=len(keys))
            if len(picked) < count:
                raise OwnershipError(
                    f"{len(keys)} trigger sets of {count} stamped images need {len(keys) * count} training "
                    f"images, but there are {len(train)}"
                )
            bases = train[torch.tensor(picked)]
        drawn = _draw_images(key, count, tuple(train.shape[1:]), bases)
        labels = _draw_labels(key, drawn, bases, images.num_classes)
        sets.append(TriggerSet(family, key, drawn, labels, bases))
    return sets


def check_trigger_set(trigger_set: TriggerSet, num_classes: int) -> None:
    """Make images and labels again from key and base images, and compare.

    Raises:
        OwnershipError: the key does not give these images, or not these labels.
    """
    key, bases = trigger_set.key, trigger_set.bases
    shape = tuple(trigger_set.images.shape[1:])
    if not torch.equal(_draw_images(key, len(trigger_set), shape, bases), trigger_set.images):
        raise OwnershipError("the images of this trigger set are not those that its key gives")
    if not torch.equal(_draw_labels(key, trigger_set.images, bases, num_classes), trigger_set.labels):
        raise OwnershipError("the labels of this trigger set are not those that its key gives")


def score_triggers(
    predictions: Tensor,
    base_predictions: Tensor | None,
    trigger_set: TriggerSet,
    num_classes: int,
    *,
    unmarked_rate: float = 0.0,
) -> TriggerEvidence:
    """Count hits, and say how improbable so many are for a model that has nothing to do with the key.

    Under the null hypothesis the labels are independent of the model, as the key was unknown to whoever made
    it. Labels are uniform over the C classes and are drawn after the images are fixed (see
    ``make_trigger_sets``), so this holds whatever the model answers and however the images were chosen.

    - ``shapes``: every image counts. Each is a hit with probability 1/C, independently of the others, so hits
      are Bin(n, 1/C) exactly.
    - ``pattern``: an image whose base image is already answered with the label says nothing about the
      pattern, so it does not count. Let b and s be the answers to base and stamped image. Given that the
      label is not b, it is uniform over the C - 1 other classes: it is s with probability 1/(C - 1) if s
      differs from b, and never if s = b. So hits among the counted images are stochastically at most
      Bin(counted, 1/(C - 1)), and the tail of that is an upper bound of the probability.

    A claimant who may choose between several keys or sets has more than one try; charge for it with
    ``significance.adjust``.

    Args:
        predictions: int64 [N], the suspect's answers to the images: classes, from a model or from a table. A
            number that is not a class is a miss.
        base_predictions: int64 [N], the same for the base images; None for ``shapes``.
        trigger_set: checked with ``check_trigger_set``.
        num_classes: C.
        unmarked_rate: highest rate of hits that was measured on models without this mark; raises the chance.

    Raises:
        OwnershipError: the answers do not fit the set, or a number is outside its range.
    """
    if num_classes < 2 or not 0 <= unmarked_rate <= 1:
        raise OwnershipError(
            f"triggers are scored with 2 classes or more and an unmarked rate from 0 to 1, not with "
            f"{num_classes} and {unmarked_rate}"
        )
    labels = trigger_set.labels
    _check_answers(predictions, labels, "images")
    if (base_predictions is None) != (trigger_set.bases is None):
        raise OwnershipError("the family pattern, and no other, needs answers to its base images")
    counts, classes = torch.ones_like(labels, dtype=torch.bool), num_classes
    if base_predictions is not None:
        _check_answers(base_predictions, labels, "base images")
        counts, classes = base_predictions != labels, num_classes - 1
    hits, counted = int(((predictions == labels) & counts).sum()), int(counts.sum())
    chance = max(1 / classes, unmarked_rate)
    return TriggerEvidence(hits, counted, chance, binomial_bits(hits, counted, chance))


def _draw_images(key: bytes, count: int, shape: tuple[int, ...], bases: Tensor | None) -> Tensor:
    if bases is not None:
        return stamp_pattern(key, bases)
    channels, height, width = shape
    return torch.stack(
        [draw_shapes(key, i, channels=channels, height=height, width=width) for i in range(count)]
    )


def _draw_labels(key: bytes, images: Tensor, bases: Tensor | None, num_classes: int) -> Tensor:
    """Draw a label for each image from the key and the content of all images.

    As the content decides, nobody can first see the labels and then choose base images to go with them, for
    example adversarial ones that other models would answer alike (arXiv 2304.06607): another image anywhere
    in the set draws all labels anew. No label is more probable than another by more than 2^-128.
    """
    content = fingerprint_tensors({"images": images} if bases is None else {"images": images, "bases": bases})
    drawn = expand(key, "labels", bytes.fromhex(content), _LABEL_BYTES * len(images))
    numbers = [
        int.from_bytes(drawn[start : start + _LABEL_BYTES], "big")
        for start in range(0, len(drawn), _LABEL_BYTES)
    ]
    return torch.tensor([number % num_classes for number in numbers])


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise OwnershipError("the images of a trigger set must be uint8 of shape [N, C, H, W]")
    count, channels, height, width = images.shape
    if not 1 <= count <= MAX_IMAGES:
        raise OwnershipError(f"a trigger set has 1 to {MAX_IMAGES} images, not {count}")
    sides_fit = min(height, width) >= _SMALLEST_SIDE and max(height, width) <= _LARGEST_SIDE
    if not sides_fit or not 1 <= channels <= _MOST_CHANNELS:
        raise OwnershipError(
            f"triggers must have {_SMALLEST_SIDE} to {_LARGEST_SIDE} pixels on each side and 1 to "
            f"{_MOST_CHANNELS} channels, not {channels}x{height}x{width}"
        )


def _check_answers(answers: Tensor, labels: Tensor, what: str) -> None:
    if answers.dtype != torch.int64 or answers.shape != labels.shape:
        raise OwnershipError(
            f"the answers to the {what} must be int64 of shape {tuple(labels.shape)}, not {answers.dtype} of "
            f"shape {tuple(answers.shape)}"
        )
