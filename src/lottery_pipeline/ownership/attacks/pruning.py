"""Attacks that remove more weights, one by one or whole filters. Shares are of the weights that are left."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.ownership.attacks.channels import known_groups, writers
from lottery_pipeline.ownership.attacks.training import (
    check_share,
    count_epochs,
    fine_tune,
    restore_statistics,
    zero_pattern,
)
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.carriers import list_live
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import apply_masks_
from lottery_pipeline.sparsity.selection import Scores, keep_top_k
from lottery_pipeline.surgery.channels import ChannelGroup
from lottery_pipeline.surgery.narrowing import narrow
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import predict


def prune_magnitude(victim: Victim, *, share: float) -> nn.Module:
    """A5: remove the smallest weights of the whole network and re-estimate batch norm.

    Args:
        victim: stays as it is.
        share: of the remaining weights.
    """
    return restore_statistics(victim, _without_smallest(victim, share))


def prune_and_fine_tune(
    victim: Victim, *, share: float, learning_rate: float = 0.01, epoch_share: float = 0.1
) -> Classifier:
    """A6: remove the smallest weights of the whole network, then train the others.

    Args:
        victim: stays as it is.
        share: of the remaining weights.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.
    """
    model = _without_smallest(victim, share)
    return _fine_tune_rest(victim, model, "A6", learning_rate=learning_rate, epoch_share=epoch_share)


def prune_random(victim: Victim, *, share: float) -> nn.Module:
    """A7: remove random weights and re-estimate batch norm; the share is of the remaining weights."""
    model, generator = victim.build(), make_generator(victim.seed, "A7")
    scores = {name: torch.rand(mask.shape, generator=generator) for name, mask in victim.ticket.masks.items()}
    prune_(victim.weights(model), scores, share)
    return restore_statistics(victim, model)


def prune_layers(victim: Victim, *, share: float, layers: tuple[str, ...] = ()) -> nn.Module:
    """A8: remove the smallest weights of chosen layers, in each the same share; re-estimate batch norm.

    Args:
        victim: stays as it is.
        share: of the remaining weights of every chosen layer.
        layers: names of their weights (``network.layer1.0.conv1.weight``). Empty takes every layer in which a
            mark may be, by the public rule of ``list_live``.

    Raises:
        OwnershipError: a name is unknown, or the network has no layer for a mark.
    """
    model = victim.build()
    weights = victim.weights(model)
    unknown = [name for name in layers if name not in weights]
    if unknown:
        raise OwnershipError(f"{unknown[0]!r} is not a prunable weight of this network")
    for name in layers or _layers_for_marks(victim):
        prune_({name: weights[name]}, {name: weights[name].detach().abs()}, share)
    return restore_statistics(victim, model)


def prune_band(victim: Victim, *, low: float, high: float, fine_tuned: bool) -> nn.Module:
    """A31: remove the weights of the size that a margin gives to carriers, in the layers that may hold them.

    The scheme is public: carriers are held at 0.75 to 1.5 times the root mean square of the kept weights, of
    their layer or of all layers, whichever is larger (``training.margin.Margin``).

    Args:
        victim: stays as it is.
        low: least magnitude, in units of that root mean square.
        high: magnitudes from here on are spared.
        fine_tuned: train the rest for a tenth of the original epochs at rate 0.01; else re-estimate batch
            norm.

    Raises:
        OwnershipError: the band is empty, or the network has no layer for a mark.
    """
    if not 0 <= low < high:
        raise OwnershipError(f"a band of magnitudes must have 0 <= low < high, got {low!r} and {high!r}")
    model = victim.build()
    weights = victim.weights(model)
    everywhere = _mean_square(torch.cat([weight.detach().flatten() for weight in weights.values()]))
    with torch.no_grad():
        for name in _layers_for_marks(victim):
            size = weights[name].abs() / torch.maximum(everywhere, _mean_square(weights[name])).sqrt()
            weights[name][(size >= low) & (size < high)] = 0
    if not fine_tuned:
        return restore_statistics(victim, model)
    return _fine_tune_rest(victim, model, "A31", learning_rate=0.01, epoch_share=0.1)


def prune_filters(
    victim: Victim,
    *,
    share: float,
    how: Literal["zero", "narrow"],
    learning_rate: float = 0.01,
    epoch_share: float = 0.1,
) -> nn.Module:
    """A9: remove the filters of smallest L1 norm, then train the rest (Li et al., arXiv 1608.08710).

    Only inner channels are removed, those that one layer writes and one layer reads: in a residual network
    the first convolutions of its blocks. The norm is that of the filter's weights; every layer loses the same
    share of its filters.

    Args:
        victim: stays as it is.
        share: of the filters of every such layer; one filter stays.
        how: ``zero`` sets a filter and its batch norm to 0; ``narrow`` takes it and its readers' columns out,
            so that the layers become smaller. Both compute the same before training.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.

    Raises:
        OwnershipError: the structure of the network is unknown.
    """
    model = victim.build()
    groups = known_groups(model, "inner")
    norms = {
        group.name: model.get_parameter(f"{group.name}.weight").detach().abs().flatten(1).sum(1)
        for group in groups
    }
    kept = keep_channels(groups, norms, share)
    if how == "zero":
        silence_(model, groups, kept)
    else:
        model = _take_out(victim, groups, kept)
    return _fine_tune_rest(victim, model, "A9", learning_rate=learning_rate, epoch_share=epoch_share)


def prune_inactive(
    victim: Victim, *, share: float, learning_rate: float = 0.01, epoch_share: float = 0.1
) -> nn.Module:
    """A28: silence the channels that clean images hardly activate, then train the rest.

    Fine-pruning (Liu et al., arXiv 1805.12185): triggers may live in neurons that clean images leave alone.
    Deviation: the paper prunes the last convolution; here all layers with inner channels lose the same share.

    Args:
        victim: stays as it is; activations are means over its training images and all pixels.
        share: of the channels of every such layer; one channel stays.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.

    Raises:
        OwnershipError: the structure of the network is unknown.
    """
    model = victim.build()
    groups = known_groups(model, "inner")
    silence_(model, groups, keep_channels(groups, _measure_activations(victim, model, groups), share))
    return _fine_tune_rest(victim, model, "A28", learning_rate=learning_rate, epoch_share=epoch_share)


def prune_(weights: dict[str, nn.Parameter], scores: Scores, share: float) -> None:
    """Set the weights of lowest score to 0, a share of those that are not 0; at least one weight stays.

    Args:
        weights: by name, changed.
        scores: higher = keep.
        share: rounded to a whole number of weights.

    Raises:
        OwnershipError: the share is not above 0 and at most 1.
    """
    check_share("share", share)
    pattern = zero_pattern(weights)
    left = sum(int(mask.count_nonzero()) for mask in pattern.values())
    if left > 1:  # an empty layer has nothing to lose
        kept = keep_top_k(scores, max(1, left - round(share * left)), within=pattern)
        apply_masks_(weights, kept)


def keep_channels(groups: list[ChannelGroup], scores: Scores, share: float) -> dict[str, Tensor]:
    """Return the channels of highest score, bool [size] by name of the group; one of each group stays."""
    check_share("share", share)
    kept: dict[str, Tensor] = {}
    for group in groups:
        count = max(1, group.size - round(share * group.size))
        kept |= keep_top_k({group.name: scores[group.name]}, count)
    return kept


@torch.no_grad()
def silence_(model: nn.Module, groups: list[ChannelGroup], kept: dict[str, Tensor]) -> None:
    """Set the filters of the other channels and their batch norms to 0, so that they emit 0 and stay so."""
    for group in groups:
        for layer, norm in writers(model, group):
            scaling = [] if norm is None else [*norm.parameters(), norm.running_mean]
            for tensor in (*layer.parameters(), *scaling):
                if tensor is not None:
                    tensor[~kept[group.name]] = 0


def _layers_for_marks(victim: Victim) -> tuple[str, ...]:
    """Return the layers that may hold a mark, by the public rule of ``list_live``."""
    found = tuple(list_live(victim.ticket.masks))
    if not found:
        raise OwnershipError("this network has no layer large enough for a mark")
    return found


def _mean_square(weight: Tensor) -> Tensor:
    """Return the mean square of the entries that are not 0; 0 if all are."""
    return weight.square().sum() / (weight != 0).sum().clamp_min(1)


def _without_smallest(victim: Victim, share: float) -> Classifier:
    model = victim.build()
    weights = victim.weights(model)
    prune_(weights, {name: weight.detach().abs() for name, weight in weights.items()}, share)
    return model


def _fine_tune_rest(
    victim: Victim, model: Classifier, label: str, *, learning_rate: float, epoch_share: float
) -> Classifier:
    return fine_tune(
        victim,
        model,
        label,
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        masks=zero_pattern(victim.weights(model)),
    )


def _take_out(victim: Victim, groups: list[ChannelGroup], kept: dict[str, Tensor]) -> Classifier:
    """Return a network without the other channels."""
    ticket = victim.ticket
    smaller = narrow(
        ticket.header.spec,
        ticket.state,
        ticket.masks,
        kept,
        groups=groups,
        allow_factory=ticket.allow_factory,
    )
    model = build_model(smaller.spec, seed=0, allow_factory=ticket.allow_factory)
    model.load_state_dict(smaller.state)
    return model.eval()


def _measure_activations(victim: Victim, model: nn.Module, groups: list[ChannelGroup]) -> Scores:
    """Return the mean of every channel after ReLU over the training images, float64 [size] by group."""
    sums: Scores = {}
    handles = []
    for group in groups:

        def add(_module: nn.Module, _inputs: object, outputs: Tensor, name: str = group.name) -> None:
            found = relu(outputs).flatten(2).mean(2) if outputs.dim() == 4 else relu(outputs)
            sums[name] = sums.get(name, 0) + found.double().sum(0).cpu()

        last = model.get_submodule((*group.outputs, *group.norms)[-1])
        handles.append(last.register_forward_hook(add))
    try:
        predict(model, victim.images.train, device=pick_device(victim.device))
    finally:
        for handle in handles:
            handle.remove()
    model.cpu()
    return {name: total / len(victim.images.train) for name, total in sums.items()}
