"""Logits: what a network says about images, before any softmax."""

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.evaluation import EvaluationError, fixed_batches, modes_restored

_VALUES_PER_BATCH = 2**22
_LARGEST_BATCH = 512


@torch.no_grad()
def compute_logits(model: nn.Module, image_set: ImageSet, *, device: torch.device | str) -> Tensor:
    """Run a classifier in evaluation mode, in float32 whatever the device.

    The model is moved to the device; its modes are restored.

    Args:
        model: pixels in [0, 1], ``[N, C, H, W]``, to logits ``[N, K]``.
        image_set: at least one image; the labels are not read.
        device: where to compute.

    Returns:
        float32 ``[N, K]`` on the CPU.

    Raises:
        EvaluationError: there are no images, the outputs are not one row of logits for each image, or some
            are not finite.
    """
    if not len(image_set):
        raise EvaluationError("there are no images to compute logits of")
    device = torch.device(device)
    images = image_set.images.to(device)
    size = max(1, min(_LARGEST_BATCH, _VALUES_PER_BATCH // images[0].numel()))
    with modes_restored(model):
        model.to(device).eval()
        batches = [
            model(to_pixels(batch.permute(0, 2, 3, 1))) for batch in fixed_batches(model, images, size)
        ]
    logits = torch.cat(batches)[: len(image_set)].float().cpu()
    if logits.dim() != 2 or len(logits) != len(image_set):
        raise EvaluationError(f"logits must have the shape [N, K], got {list(logits.shape)}")
    broken = int((~logits.isfinite().all(dim=1)).sum())
    if broken:
        raise EvaluationError(f"the logits of {broken} of {len(logits)} images are not finite")
    return logits
