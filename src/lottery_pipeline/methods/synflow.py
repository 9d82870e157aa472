"""SynFlow (Tanaka, Kunin, Yamins & Ganguli, NeurIPS 2020): keep the synaptic flow; no data, many rounds."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from lottery_pipeline.models.classifier import Normalise
from lottery_pipeline.models.ties import find_ties
from lottery_pipeline.options import SynflowOptions
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.search.scoring import copied_tensors, differentiate
from lottery_pipeline.sparsity.masks import Masks, Weights
from lottery_pipeline.sparsity.selection import Scores


def synflow_scores(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,  # noqa: ARG001 (score methods are called alike)
    *,
    masks: Masks | None = None,
    ignore_layers: Iterable[str] = (),
) -> Scores:
    """Score weights by |theta dR / dtheta|, R the sum of the outputs for one image of ones.

    Every parameter of the network is replaced by its magnitude, biases and batch-norm affine too. The network
    is in evaluation mode, has batch-norm statistics of mean 0 and variance 1, and does not normalise its
    input. Everything is in float64, since products over many layers leave the range of float32. Only copies
    are changed, so there is no sign to restore. Deviation: the authors' code computes in float32 and with the
    running statistics, which are 0 and 1 only at initialisation.

    Arguments and errors are those in ``search/scoring.py``. Only the shape of the images counts, and labels
    are ignored.

    Returns:
        float64, 0 or more; on the CPU where the model's device (mps) has no float64.
    """
    with copied_tensors(model, masks, ignore_layers, by_batch=False) as (weights, others):
        device = next(iter(weights.values())).device
        device = torch.device("cpu") if device.type == "mps" else device
        parameters = {name for name, _ in model.named_parameters()}
        for name, tensor in {**others, **_unit_statistics(model, device)}.items():
            wide = tensor.to(device, torch.float64 if tensor.is_floating_point() else None)
            others[name] = wide.abs() if name in parameters else wide
        magnitudes = {
            name: weight.detach().to(device, torch.float64).abs().requires_grad_()
            for name, weight in weights.items()
        }
        ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=device)
        flow = functional_call(model, {**others, **magnitudes}, (ones,)).sum()
        gradients = differentiate(flow, magnitudes)
    return {name: weight.detach().mul_(gradients.pop(name)).abs_() for name, weight in magnitudes.items()}


def _unit_statistics(model: nn.Module, device: torch.device) -> Weights:
    """Return mean 0 and deviation 1, by buffer name, for all that normalises by stored statistics."""
    units: Weights = {}
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) or (isinstance(module, _NormBase) and module.track_running_stats):
            units[f"{name}.running_mean"] = torch.zeros(module.num_features, device=device)
            units[f"{name}.running_var"] = torch.ones(module.num_features, device=device)
        elif isinstance(module, Normalise):
            units[f"{name}.mean"] = torch.zeros_like(module.mean)
            units[f"{name}.std"] = torch.ones_like(module.std)
    for name in find_ties(model):
        units.pop(name, None)
    return units


def extract_synflow(search: Search, options: SynflowOptions) -> Extraction:
    """Find a ticket by SynFlow: after round r of n a density of density**(r / n) is left.

    Nothing is random, and a round costs one image. Errors are those of ``extract_by_scores``. Deviation: the
    authors' code keeps one weight more in every round (ceil for floor), so its masks drift apart from ours
    over many rounds; with equal counts they are the same.
    """
    images = torch.empty(1, search.images.channels, *search.images.image_size)
    if search.place.type == "mps":  # it has no float64
        search = replace(search, device="cpu")
    score = partial(synflow_scores, images=images)
    return extract_by_scores("synflow", score, search, options, rounds=options.rounds, images_per_round=1)


def check_synflow(outlook: Outlook, options: SynflowOptions) -> None:  # noqa: ARG001 (checks are called alike)
    """Score the network once, before anything runs; ``UnfitError``."""
    if outlook.trial is not None:
        outlook.trial.try_scores("synflow", synflow_scores)
