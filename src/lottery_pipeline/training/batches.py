"""Training batches from images on the device or on disk: shuffled, cropped, flipped, as floats in [0, 1]."""

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.images.stored import StoredImages
from lottery_pipeline.images.targets import IGNORED
from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.training.augmentation import (
    Crops,
    fill_floats_,
    flip_first,
    move_points,
    pad_images,
)
from lottery_pipeline.training.augmix import Mixtures, draw_mixtures, mix_images
from lottery_pipeline.training.fit import check_fit
from lottery_pipeline.training.parallel import Team
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.stored_crops import StoredCrops

# Largest set, in bytes with padding, for which a mirrored copy is kept: a look-up is faster than a flip.
_LARGEST_MIRRORED = 2**28


def split_normalisation(model: nn.Module, recipe: Recipe | None = None) -> tuple[nn.Module, Normalise | None]:
    """Split a built model into its network and its normalisation, which the batches can apply.

    A model that is not ours, or that has hooks, stays whole. So does any model under a recipe with an
    adversary, whose eps is one of plain pixels.
    """
    if recipe is not None and recipe.adversary is not None:
        return model, None
    if type(model) is not Classifier or type(model.normalise) is not Normalise:
        return model, None
    hooked = any(
        hooks
        for module in (model, model.normalise)
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    )
    return (model, None) if hooked else (model.network, model.normalise)


class ExtraImages:
    """Images that join every batch beside the training images, for example those of a trigger set.

    They are neither cropped nor flipped nor mixed. Pass after pass over them, each in a new order, makes one
    endless list. Batch b of epoch e takes its places from ``(e * steps + b) * per_batch`` on. So every image
    is seen equally often, and the extra images of any batch are known without those of the batches before it.

    Args:
        image_set: at least one image.
        per_batch: how many join each batch; may be more than there are.
        steps: batches per epoch.
        seed: determines the order.
        device: where the images lie.
    """

    def __init__(
        self, image_set: ImageSet, per_batch: int, *, steps: int, seed: int, device: torch.device
    ) -> None:
        self._images_nhwc = image_set.images[:].to(device).permute(0, 2, 3, 1).contiguous()
        self._labels = image_set.labels.to(device)
        self._count = len(image_set)
        self._per_epoch = steps * per_batch
        self._seed = seed
        self._per_batch = per_batch
        self._order: Tensor | None = None

    def start_epoch(self, epoch: int) -> None:
        """Draw which images join which batch of an epoch."""
        first = epoch * self._per_epoch
        passes = range(first // self._count, (first + self._per_epoch - 1) // self._count + 1)
        orders = [
            torch.randperm(self._count, generator=make_generator(self._seed, "extra", number))
            for number in passes
        ]
        start = first - passes.start * self._count
        order = torch.cat(orders)[start : start + self._per_epoch].to(self._labels.device)
        self._order = _keep_place(self._order, order)

    def get(self, index: int | Tensor) -> tuple[Tensor, Tensor]:
        """Return what joins batch ``index`` of the started epoch: uint8 [n, H, W, C] and labels [n, ...]."""
        assert self._order is not None  # noqa: S101 (an epoch has been started)
        chosen = _take(self._order, _find_rows(index, self._per_batch))
        return self._images_nhwc.index_select(0, chosen), self._labels[chosen]


def _find_rows(index: int | Tensor, size: int) -> slice | Tensor:
    """Return which rows of an epoch are batch ``index``: a slice, or int64 [size] if it is a tensor."""
    if isinstance(index, Tensor):
        return index * size + torch.arange(size, device=index.device)
    return slice(index * size, (index + 1) * size)


def _take(tensor: Tensor, rows: slice | Tensor) -> Tensor:
    return tensor[rows] if isinstance(rows, slice) else tensor.index_select(0, rows)


def _keep_place(old: Tensor | None, new: Tensor) -> Tensor:
    """Return the new values in the memory of the old ones, where a captured step reads them."""
    return new if old is None else old.copy_(new)


class Batches:
    """The batches of every epoch of one training.

    Everything random in an epoch is drawn at its start from (seed, epoch), on the CPU. So any batch of any
    epoch is available without the ones before it, and the order is the same on every device. The draws of
    every epoch lie in the same memory, and the number of a batch may be a tensor: so a step that is captured
    once finds the right batch in every epoch.

    An image is flipped with probability one half. The order is random, and the place of an image in its batch
    has no effect. So it is enough to draw how many images of a batch are flipped, and to flip the first ones:
    the number is binomial, and the flipped images are a uniformly drawn part of the batch.

    Masks of pixels are cropped and flipped like their images; padding has no class (255), unless it is
    reflected. Points move with the crops. They cannot be flipped: which of them are left and right of one
    another is not known.

    Args:
        image_set: the training images.
        recipe: batch size and augmentation.
        seed: determines everything that is drawn.
        device: where the images lie.
        normalise: applied in one pass with the scaling to [0, 1], which saves three passes; None leaves plain
            pixels.
        extra: images that join every batch, scaled and normalised like the others.
        extra_per_batch: how many.
        team: processes that share every batch, in which case there are no extra images: ``get`` returns the
            images of this one. All draw the same.

    Attributes:
        size: training images in a full batch.
        full: number of full batches in an epoch; a smaller one may follow.

    Raises:
        RecipeError: the images are too small for the recipe's crops, or it moves images away from points or
            masks.
    """

    def __init__(
        self,
        image_set: ImageSet,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        normalise: Normalise | None = None,
        extra: ImageSet | None = None,
        extra_per_batch: int = 0,
        team: Team | None = None,
    ) -> None:
        self._team = team
        images = image_set.images.to(device)
        self._count, channels, height, width = images.shape
        self._recipe = recipe
        self._seed = seed
        self._device = device
        self._task, self._image_size = image_set.task, (height, width)
        check_fit(recipe, images=None, image_size=(height, width), task=self._task)
        padding = recipe.crop_padding
        padded_size = self._count * (height + 2 * padding) * (width + 2 * padding) * channels
        self._mirrored = recipe.flip and padded_size <= _LARGEST_MIRRORED
        self._crops: Crops | StoredCrops
        if isinstance(images, StoredImages):
            self._mirrored = False
            self._crops = StoredCrops(images, padding, recipe.crop_mode, step=recipe.batch_size)
        else:
            images_nhwc = images.permute(0, 2, 3, 1)
            padded = pad_images(images_nhwc, padding, recipe.crop_mode, mirrored=self._mirrored)
            self._crops = Crops(padded, height, width)
        self._masks: Crops | None = None
        if self._task == "segmentation":
            masks = image_set.labels.to(torch.uint8).to(device)[..., None]
            padded = pad_images(masks, padding, recipe.crop_mode, mirrored=self._mirrored, fill=IGNORED)
            self._masks = Crops(padded, height, width)
        else:
            self._labels = image_set.labels.to(device)
        size = min(recipe.batch_size, self._count) + extra_per_batch
        self._buffer = torch.empty((size, height, width, channels), dtype=torch.float32, device=device)
        scale, offset = torch.full((channels,), 1 / 255), torch.zeros(channels)
        if normalise is not None:
            mean, std = normalise.mean.cpu().double().flatten(), normalise.std.cpu().double().flatten()
            scale, offset = (1 / (255 * std)).float(), (-mean / std).float()
        # One value for every number of an image, so that the product is a plain vector loop.
        self._scale = scale.repeat(height * width).to(device)
        self._offset = offset.repeat(height * width).to(device)
        full, rest = divmod(self._count, recipe.batch_size)
        self._sizes = torch.tensor([recipe.batch_size] * full + [rest] * (rest > 0))
        self.size = min(recipe.batch_size, self._count)
        self.full = self._count // self.size
        self._extra: ExtraImages | None = None
        if extra is not None:
            steps = recipe.steps_per_epoch(self._count)
            self._extra = ExtraImages(extra, extra_per_batch, steps=steps, seed=seed, device=device)
        self._mixtures: Mixtures | None = None
        self._first_pixels: Tensor | None = None
        self._epoch_labels: Tensor | None = None
        self._flip_counts: Tensor | None = None
        self._epoch = -1

    @property
    def obstacle(self) -> str:
        """Why the number of a batch cannot be a tensor; empty if it can."""
        if isinstance(self._crops, StoredCrops):
            return "the images are read from disk"
        return "AugMix chooses its operations on the host" if self._recipe.augmix else ""

    def start_epoch(self, epoch: int) -> None:
        """Draw the order, the crops and the flips of an epoch, unless they are drawn already."""
        if epoch == self._epoch:
            return
        generator = make_generator(self._seed, "epoch", epoch)
        order = torch.randperm(self._count, generator=generator)
        padding = self._recipe.crop_padding
        widest = 2 * padding
        tops, lefts = torch.randint(widest + 1, (2, self._count), generator=generator)
        if self._masks is None:
            labels = self._labels[order.to(self._device)]
            if self._task == "keypoints":
                labels = move_points(labels, tops, lefts, padding, self._image_size)
            self._epoch_labels = _keep_place(self._epoch_labels, labels)
        self._flips = [0] * len(self._sizes)
        if self._recipe.flip:
            sizes = self._sizes.float()
            flips = torch.binomial(sizes, torch.full_like(sizes, 0.5), generator=generator).long()
            if self._mirrored:
                place = torch.arange(self._count) % self._recipe.batch_size
                mirrored = place < flips.repeat_interleave(self._sizes)
                order = order + self._count * mirrored
                lefts = torch.where(mirrored, widest - lefts, lefts)  # the same crop, seen in the mirror
            else:
                self._flips = flips.tolist()
                self._flip_counts = _keep_place(self._flip_counts, flips.to(self._device))
        if isinstance(self._crops, StoredCrops):
            self._crops.start_epoch(order, tops, lefts)
        else:
            first_pixels = self._crops.locate(order, tops, lefts).to(self._device)
            self._first_pixels = _keep_place(self._first_pixels, first_pixels)
        if self._recipe.augmix:
            generator = make_generator(self._seed, "epoch", epoch, "augmix")
            self._mixtures = draw_mixtures(self._count, generator)
        if self._extra is not None:
            self._extra.start_epoch(epoch)
        self._epoch = epoch

    def count_images(self, index: int) -> int:
        """Return how many training images batch ``index`` has."""
        return min(self.size, self._count - index * self.size)

    def get(self, index: int | Tensor) -> tuple[Tensor, Tensor]:
        """Return batch ``index`` of the started epoch.

        Args:
            index: a number, or int64 [1] on the device, of a batch of full size and only without an obstacle;
                nothing waits for it.

        Returns:
            Float32 pixels in [0, 1], normalised if requested, [B, C, H, W] in channels-last memory that the
            next call overwrites; int64 labels [B, ...]. The extra images are the last of the B.
        """
        rows = self._find_own_rows(index)
        flips = self._count_flips(index)
        if isinstance(self._crops, StoredCrops):
            assert isinstance(rows, slice)  # noqa: S101 (there is an obstacle)
            images = self._crops.take(rows)
        else:
            assert self._first_pixels is not None  # noqa: S101 (an epoch has been started)
            first_pixels = _take(self._first_pixels, rows)
            images = self._crops.take(first_pixels)
        floats = fill_floats_(self._buffer, images, flips)
        if self._mixtures is not None:
            assert isinstance(rows, slice)  # noqa: S101 (there is an obstacle)
            mixed = mix_images(floats.permute(0, 3, 1, 2), self._mixtures.part(rows))
            floats.copy_(mixed.permute(0, 2, 3, 1))
        if self._epoch_labels is None:
            labels = self._take_masks(first_pixels, flips)
        else:
            labels = _take(self._epoch_labels, rows)
        if self._extra is not None:
            extra_images, extra_labels = self._extra.get(index)
            floats = self._buffer[: len(images) + len(extra_images)]
            floats[len(images) :].copy_(extra_images)
            labels = torch.cat([labels, extra_labels])
        flat = floats.view(len(floats), -1)
        torch.addcmul(self._offset, flat, self._scale, out=flat)
        return floats.permute(0, 3, 1, 2), labels

    def _find_own_rows(self, index: int | Tensor) -> slice | Tensor:
        """Return which rows of an epoch ``get`` returns: batch ``index``, or this process's part of it."""
        rows = _find_rows(index, self.size)
        if self._team is None or isinstance(rows, Tensor) or isinstance(index, Tensor):
            return rows
        return self._team.take(rows, self.count_images(index))

    def _count_flips(self, index: int | Tensor) -> int | Tensor:
        """Return how many images of a batch are flipped here: none if a mirrored copy is looked up."""
        if not isinstance(index, Tensor):
            return self._flips[index] if self._team is None else self._team.count_own(self._flips[index])
        return 0 if self._flip_counts is None else self._flip_counts.index_select(0, index)

    def _take_masks(self, first_pixels: Tensor, flips: int | Tensor) -> Tensor:
        """Return the classes of the pixels of a batch as ``get`` shows them: int64 [B, H, W]."""
        assert self._masks is not None  # noqa: S101 (there are labels otherwise)
        masks = self._masks.take(first_pixels)[..., 0].to(torch.int64)
        if isinstance(flips, Tensor):
            return flip_first(masks, flips)
        if flips:
            masks[:flips] = masks[:flips].flip(2)
        return masks
