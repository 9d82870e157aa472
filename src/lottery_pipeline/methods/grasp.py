"""GraSP (Wang, Zhang & Grosse, ICLR 2020): keep the weights that carry the gradient flow."""

from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lottery_pipeline.options import GraspOptions
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.saliency import extract_by_gradients
from lottery_pipeline.search.scoring import (
    Loss,
    check_labels,
    copied_tensors,
    differentiate,
    sum_gradients,
    yield_losses,
)
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores


def grasp_scores(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None,
    *,
    masks: Masks | None = None,
    ignore_layers: Iterable[str] = (),
    batch_size: int = 256,
    batch_statistics: bool = True,
    temperature: float = 200.0,
    absolute: bool = False,
    loss: Loss = cross_entropy,
) -> Scores:
    """Score weights by theta (H g), g and H the gradient and the Hessian of the mean loss.

    The paper removes the largest -theta (H g), whose removal would raise the norm of the gradient. The scores
    here are negated, so the largest are kept. g and H are taken over all prunable weights, with other
    parameters constant, as in the authors' code. The first pass sums g over the micro-batches; the second
    holds it constant and sums H g = d<g, dL/dtheta>/dtheta. Deviation from the authors' code: the last layer
    is not drawn again before scoring.

    The model must be twice differentiable. Logits are divided by ``temperature``; ``absolute`` scores by the
    magnitude. Other arguments and the errors are those in ``search/scoring.py``; scores may have either sign.
    """
    labels = check_labels("GraSP", images, labels)
    with copied_tensors(model, masks, ignore_layers, by_batch=batch_statistics) as (weights, others):

        def soften(logits: Tensor, targets: Tensor) -> Tensor:
            return loss(logits / temperature, targets)

        pass_over = partial(yield_losses, model, {**others, **weights}, images, labels)
        constants = sum_gradients(pass_over(batch_size=batch_size, loss=soften), weights)

        def yield_products() -> Iterator[Tensor]:
            for value in pass_over(batch_size=batch_size, loss=soften):
                gradients = differentiate(value, weights, create_graph=True)
                yield torch.stack([(constants[name] * gradients[name]).sum() for name in gradients]).sum()

        products = sum_gradients(yield_products(), weights)
    scores = {name: weight.detach() * products[name] for name, weight in weights.items()}
    return {name: score.abs() for name, score in scores.items()} if absolute else scores


def extract_grasp(search: Search, options: GraspOptions) -> Extraction:
    """Find a ticket by GraSP on a few training images of each class, those of SNIP at the same seed.

    A round costs three passes over them: the second is differentiated twice and counts double. Errors are
    those of ``extract_by_scores``.
    """
    score = partial(grasp_scores, temperature=options.temperature, absolute=options.absolute)
    return extract_by_gradients("grasp", score, search, options, passes=3)


def check_grasp(outlook: Outlook, options: GraspOptions) -> None:
    """Score the network once, before anything runs: not every function has a second derivative.

    Raises:
        UnfitError: the network cannot be scored.
    """
    if outlook.trial is not None:
        outlook.trial.try_scores("grasp", grasp_scores, batch_statistics=options.batch_statistics)
