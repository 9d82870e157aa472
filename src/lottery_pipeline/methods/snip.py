"""SNIP (Lee, Ajanthan & Torr, ICLR 2019): keep the weights whose removal would change the loss most."""

# ruff: noqa: ARG001 (every method is called alike)

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options import SaliencyOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction
from lottery_pipeline.search.saliency import extract_by_gradients
from lottery_pipeline.search.scoring import Loss, check_labels, copied_tensors, sum_gradients, yield_losses
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord


def snip_scores(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None,
    *,
    masks: Masks | None = None,
    ignore_layers: Iterable[str] = (),
    batch_size: int = 256,
    batch_statistics: bool = True,
    loss: Loss = cross_entropy,
) -> Scores:
    """Score weights by |theta g|, g the gradient of the mean loss: |dL / dm| at m = 1.

    Micro-batches are summed before the absolute value is taken, so they bound the memory and change nothing,
    batch statistics aside. Deviations: not divided by the sum of all scores, which changes no rank; biases
    are not scored (the authors' code scores them).

    Args:
        model: pixels in [0, 1] -> logits; stays as it is.
        images: [N, C, H, W] on the model's device.
        labels: int64 [N].
        masks: theta and g are those of the masked network, and masked weights score 0; None is all ones.
        ignore_layers: patterns of layers that are never pruned.
        batch_size: images at once.
        batch_statistics: batch norm normalises by each micro-batch, as in training, without a trace in its
            buffers; else by its running averages. All else is in evaluation mode.
        loss: (logits, labels) -> mean over the images it is given.

    Returns:
        Higher = keep; 0 or more, by name of the prunable parameters, on the model's device.

    Raises:
        TicketError: labels are missing.
        ModelError: nothing is left to prune.
        MaskError: the masks are not those of the model.
    """
    labels = check_labels("SNIP", images, labels)
    with copied_tensors(model, masks, ignore_layers, by_batch=batch_statistics) as (weights, others):
        tensors = {**others, **weights}
        losses = yield_losses(model, tensors, images, labels, batch_size=batch_size, loss=loss)
        gradients = sum_gradients(losses, weights)
    return {name: (weight.detach() * gradients[name]).abs() for name, weight in weights.items()}


def extract_snip(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    seed: int,
    options: SaliencyOptions,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> Extraction:
    """Find a ticket by SNIP on a few training images of each class.

    Args:
        images: what the dense run was trained on; the training part is drawn from, without augmentation.
        dense: gives the start point.
        recipe: not used; like ``on_record`` it is there for other methods.
        seed: of the drawn images; GraSP draws the same.
        options: density, start point, rounds, images and batches.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where unfinished rounds are kept.
        on_record: not used.
        allow_factory: the trusted ``package.module:factory``, where the model is one.

    Returns:
        The ticket; a round costs one pass over the drawn images.

    Raises:
        TicketError: the dense run is of other images.
        DensityError: the density keeps no weight.
    """
    return extract_by_gradients(
        "snip",
        snip_scores,
        images,
        dense,
        options,
        passes=1,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        allow_factory=allow_factory,
    )
