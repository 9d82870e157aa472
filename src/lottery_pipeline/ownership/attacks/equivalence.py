"""Attacks that rewrite the network and leave what it computes unchanged.

Permutation, scaling and sign flips are those of Yan et al. (arXiv 2205.00199), dummy neurons those of Yan et
al. (arXiv 2303.09732). A ReLU between two layers lets channels be reordered and scaled by positive numbers;
batch norm also lets a filter be scaled and negated.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.ownership.attacks.channels import (
    Scope,
    choose_channels_,
    known_groups,
    scale_rows_,
    writers,
)
from lottery_pipeline.ownership.attacks.training import check_share, fine_tune, zero_pattern
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.surgery.channels import ChannelGroup

SPLIT_RANGE = (0.2, 0.8)  # part of a channel's outgoing weights that its twin takes over
CLIQUE_RANGE = (0.5, 2.0)  # outgoing weights of a dummy, relative to those of a real channel


def permute(victim: Victim, *, scope: Scope, fine_tuned: bool = False) -> nn.Module:
    """A13: reorder channels.

    Args:
        victim: stays as it is.
        scope: ``inner`` channels, or ``all``, with those that residual blocks share.
        fine_tuned: then train for one epoch at rate 0.01, zeros kept.

    Raises:
        OwnershipError: the structure of the network is unknown.
    """
    model = victim.build()
    permute_(model, scope=scope, generator=make_generator(victim.seed, "A13"))
    if not fine_tuned:
        return model
    return fine_tune(victim, model, "A13", epochs=1, masks=zero_pattern(victim.weights(model)))


def scale(victim: Victim, *, folded: bool) -> nn.Module:
    """A14: scale every channel by its own factor, log-uniform in [0.1, 10], and undo it in the readers.

    All groups are scaled, those that residual blocks share included.

    Args:
        victim: stays as it is.
        folded: first fold batch norm into the layers, which then have biases, and take it out. Otherwise it
            stays, and filters are scaled by a second factor, which its running statistics undo.

    Raises:
        OwnershipError: the structure of the network is unknown.
    """
    model = victim.build()
    scale_(model, folded=folded, generator=make_generator(victim.seed, "A14"))
    return model


def flip_signs(victim: Victim, *, share: float = 0.5) -> nn.Module:
    """A15: negate random filters, with the running mean and the scale of the batch norm after them.

    gamma (w x - mean) / s stays the same, bit for bit. Nothing else can be negated, since ReLU follows.

    Args:
        victim: stays as it is.
        share: probability of every filter.

    Raises:
        OwnershipError: the structure of the network is unknown, or it has no batch norm.
    """
    check_share("share", share)
    model, generator = victim.build(), make_generator(victim.seed, "A15")
    pairs = [pair for group in known_groups(model, "all") for pair in writers(model, group)]
    if all(norm is None for _, norm in pairs):
        raise OwnershipError("this attack needs batch norm, which this network does not have")
    with torch.no_grad():
        for layer, norm in pairs:
            if norm is not None and norm.running_mean is not None:
                flipped = torch.rand(len(layer.weight), generator=generator) < share
                vectors = [layer.weight, layer.bias, norm.running_mean, norm.weight]
                for vector in vectors:
                    if vector is not None:
                        vector[flipped] *= -1
    return model


def add_dummies(victim: Victim, *, kind: Literal["zero", "split", "clique"], share: float) -> nn.Module:
    """A16: add channels that change nothing, at random places among the inner channels.

    Args:
        victim: stays as it is.
        kind: ``zero``: nobody reads the new channels; ``split``: a channel gets a twin that takes over part
            of its outgoing weights; ``clique``: pairs of equal channels with opposite outgoing weights.
            Except for twins, a new filter is one of the layer's with its input channels shuffled.
        share: new channels, relative to those of each layer; at least one, in a clique two.

    Raises:
        OwnershipError: the structure of the network is unknown.
    """
    check_share("share", share)
    model = victim.build()
    generator = make_generator(victim.seed, "A16", kind)
    for group in known_groups(model, "inner"):
        index, factors = _draw_dummies(kind, group.size, share, generator)
        choose_channels_(model, group, index, factors)
        grown = replace(group, size=len(index))
        if kind != "split":
            _shuffle_inputs_(model, grown, group.size, 2 if kind == "clique" else 1, generator)
        order = torch.randperm(grown.size, generator=generator)
        choose_channels_(model, grown, order, torch.ones(grown.size))
    return model


def permute_(model: Classifier, *, scope: Scope, generator: torch.Generator) -> None:
    """Reorder the channels of every group at random."""
    for group in known_groups(model, scope):
        order = torch.randperm(group.size, generator=generator)
        choose_channels_(model, group, order, torch.ones(group.size))


def scale_(model: Classifier, *, folded: bool, generator: torch.Generator) -> None:
    """Scale every channel of every group; see ``scale``. Factors and products are float64."""
    groups = known_groups(model, "all")
    if folded:
        groups = [_fold_(model, group) for group in groups]
    for group in groups:
        factors = _draw_factors(group.size, generator)
        for layer, norm in writers(model, group):
            if norm is not None:
                _scale_filters_(layer, norm, _draw_factors(group.size, generator))
            for tensor in (layer if norm is None else norm).parameters():
                scale_rows_(tensor, factors)
        choose_channels_(model, group, torch.arange(group.size), 1 / factors)


def _draw_factors(size: int, generator: torch.Generator) -> Tensor:
    """Return factors [size], log-uniform in [0.1, 10]."""
    return 10 ** (2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1)


def _scale_filters_(layer: nn.Module, norm: nn.BatchNorm2d, factors: Tensor) -> None:
    """Scale filters, and the running statistics so that batch norm emits what it did.

    It divides by sqrt(var + eps), so the new variance is f^2 (var + eps) - eps. A factor that would leave
    less than eps of it is raised.
    """
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018 (see writers)
    total = norm.running_var.double() + norm.eps
    factors = factors.maximum((2 * norm.eps / total).sqrt())
    for tensor in (*layer.parameters(), norm.running_mean):
        scale_rows_(tensor, factors)
    norm.running_var.copy_(factors.square() * total - norm.eps)


def _fold_(model: Classifier, group: ChannelGroup) -> ChannelGroup:
    """Fold the batch norms of a group into its layers; return the group without them."""
    for layer, norm in writers(model, group):
        if norm is not None and norm.running_mean is not None and norm.running_var is not None:
            factors = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
            shift = -norm.running_mean.double()
            if layer.bias is not None:
                shift += layer.bias.detach().double()
            bias = norm.bias.detach().double() + shift * factors
            layer.bias = nn.Parameter(bias.to(layer.weight.dtype))
            scale_rows_(layer.weight, factors)
    for norm_name in group.norms:
        parent, _, child = norm_name.rpartition(".")
        setattr(model.get_submodule(parent), child, nn.Identity().eval())
    return replace(group, norms=())


def _draw_dummies(kind: str, size: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the old channel that each channel copies, and the factors of its outgoing weights."""
    count = max(1, round(share * size))
    own = torch.ones(size)
    if kind == "zero":
        sources, factors = torch.randint(size, (count,), generator=generator), torch.zeros(count)
    elif kind == "split":
        sources = torch.randperm(size, generator=generator)[:count]
        factors = torch.empty(count).uniform_(*SPLIT_RANGE, generator=generator)
        own[sources] -= factors
    else:
        pairs = (count + 1) // 2
        sources = torch.randint(size, (pairs,), generator=generator).repeat_interleave(2)
        sizes = torch.empty(pairs, 1).uniform_(*CLIQUE_RANGE, generator=generator)
        factors = (sizes * torch.tensor([1.0, -1.0])).flatten()
    return torch.cat([torch.arange(size), sources]), torch.cat([own, factors])


@torch.no_grad()
def _shuffle_inputs_(
    model: nn.Module, group: ChannelGroup, first: int, together: int, generator: torch.Generator
) -> None:
    """Shuffle the input channels of the filters from ``first`` on; neighbours ``together`` alike."""
    for layer, _ in writers(model, group):
        for start in range(first, group.size, together):
            order = torch.randperm(layer.weight.shape[1], generator=generator)
            layer.weight[start : start + together] = layer.weight[start : start + together, order]
