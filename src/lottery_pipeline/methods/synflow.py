"""SynFlow (Tanaka, Kunin, Yamins & Ganguli, NeurIPS 2020): keep the synaptic flow; no data, many rounds."""

# ruff: noqa: ARG001 (every method is called alike)

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.classifier import Normalise
from lottery_pipeline.options import SynflowOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.search.scoring import copied_tensors, differentiate
from lottery_pipeline.sparsity.masks import Masks, Weights
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord


def synflow_scores(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    masks: Masks | None = None,
    ignore_layers: Iterable[str] = (),
) -> Scores:
    """Score weights by |theta dR / dtheta|, R the sum of the outputs for one image of ones.

    The network is the one with every parameter replaced by its magnitude, biases and batch-norm affine too,
    in evaluation mode, with batch-norm statistics of mean 0 and variance 1 and without the normalisation of
    its input; all of it in float64, since products over many layers leave the range of float32. Only copies
    are changed, so there is no sign to restore. Deviation from the authors' code: that computes in float32
    and with the running statistics, which are 0 and 1 at initialisation alone.

    Args:
        model: stays as it is.
        images: only their shape [N, C, H, W] counts.
        labels: ignored.
        masks: of the network that is scored, and masked weights score 0; None is all ones.
        ignore_layers: patterns of layers that are never pruned.

    Returns:
        Higher = keep; float64, 0 or more, by name of the prunable parameters, on the model's device, or on
        the CPU where that device (mps) has no float64.

    Raises:
        ModelError: nothing is left to prune.
        MaskError: the masks are not those of the model.
    """
    with copied_tensors(model, masks, ignore_layers, by_batch=False) as (weights, others):
        device = next(iter(weights.values())).device
        device = torch.device("cpu") if device.type == "mps" else device
        parameters = {name for name, _ in model.named_parameters()}
        for name, tensor in {**others, **_unit_statistics(model)}.items():
            wide = tensor.to(device, torch.float64 if tensor.is_floating_point() else None)
            others[name] = wide.abs() if name in parameters else wide
        magnitudes = {
            name: weight.detach().to(device, torch.float64).abs().requires_grad_()
            for name, weight in weights.items()
        }
        ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=device)
        flow = functional_call(model, {**others, **magnitudes}, (ones,)).sum()
        gradients = differentiate(flow, magnitudes)
    return {name: (weight.detach() * gradients[name]).abs() for name, weight in magnitudes.items()}


def _unit_statistics(model: nn.Module) -> Weights:
    """Return mean 0 and deviation 1, by buffer name, for all that normalises by stored statistics."""
    units: Weights = {}
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            units[f"{name}.running_mean"] = torch.zeros(module.num_features)
            units[f"{name}.running_var"] = torch.ones(module.num_features)
        elif isinstance(module, Normalise):
            units[f"{name}.mean"] = torch.zeros_like(module.mean)
            units[f"{name}.std"] = torch.ones_like(module.std)
    return units


def extract_synflow(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    seed: int,
    options: SynflowOptions,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> Extraction:
    """Find a ticket by SynFlow: after round r of n a density of density**(r / n) is left.

    Arguments and errors are those of ``extract_snip``; nothing is random, and a round costs one image.
    Deviation from the authors' code: that keeps one weight more in every round (ceil for floor), so its masks
    drift apart from ours over many rounds; with equal counts they are the same.
    """
    chosen = pick_device(device)
    pixels = torch.empty(1, images.channels, *images.image_size)
    return extract_by_scores(
        "synflow",
        partial(synflow_scores, images=pixels, ignore_layers=dense.spec.ignore_layers),
        images,
        dense,
        options,
        rounds=options.rounds,
        images_per_round=1,
        seed=seed,
        device="cpu" if chosen.type == "mps" else str(chosen),
        checkpoints=checkpoints,
        allow_factory=allow_factory,
    )
