"""SNIP (Lee, Ajanthan & Torr, ICLR 2019): keep the weights whose removal would change the loss most."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lottery_pipeline.options import SaliencyOptions
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.saliency import extract_by_gradients
from lottery_pipeline.search.scoring import Loss, check_labels, copied_tensors, sum_gradients, yield_losses
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores


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

    Arguments and errors are those in ``search/scoring.py``; scores are 0 or more.
    """
    labels = check_labels("SNIP", images, labels)
    with copied_tensors(model, masks, ignore_layers, by_batch=batch_statistics) as (weights, others):
        tensors = {**others, **weights}
        losses = yield_losses(model, tensors, images, labels, batch_size=batch_size, loss=loss)
        gradients = sum_gradients(losses, weights)
    return {name: (weight.detach() * gradients[name]).abs() for name, weight in weights.items()}


def extract_snip(search: Search, options: SaliencyOptions) -> Extraction:
    """Find a ticket by SNIP on a few training images of each class; a round costs one pass over them.

    Errors are those of ``extract_by_scores``.
    """
    return extract_by_gradients("snip", snip_scores, search, options, passes=1)


def check_snip(outlook: Outlook, options: SaliencyOptions) -> None:
    """Score the network once, before anything runs; ``UnfitError``."""
    if outlook.trial is not None:
        outlook.trial.try_scores("snip", snip_scores, batch_statistics=options.batch_statistics)
