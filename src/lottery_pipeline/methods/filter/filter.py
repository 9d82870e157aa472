"""Filter tickets (arXiv 2301.10835, the baseline of Table 3): a network without its least important filters.

The paper prunes filters by the layer ticket's criterion until as many are left as in that ticket. All blocks
of a CIFAR ResNet cost the same MACs, but later blocks hold more filters and parameters. So a match by one
number is not a match by another; all three are offered.
"""

import time
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lottery_pipeline.methods.filter.selection import (
    count_size,
    nearest_count,
    order_removals,
    predict_size,
    value_channels,
)
from lottery_pipeline.methods.grasp import grasp_scores
from lottery_pipeline.methods.snip import snip_scores
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.extras import check_extra
from lottery_pipeline.options.filter import FilterOptions, Scope
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.calibration import draw_calibration
from lottery_pipeline.search.extraction import Extraction, Search, StartPoint
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.trial import refusal_of
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.surgery.channels import ChannelGroup, find_coupled_groups, find_inner_groups
from lottery_pipeline.surgery.narrowing import narrow, narrow_spec
from lottery_pipeline.tickets.errors import TicketError

_CRITERIA = {"snip": (snip_scores, 1), "grasp": (grasp_scores, 3)}  # passes over the images


def extract_filter(search: Search, options: FilterOptions) -> Extraction:
    """Remove channels, the least important of all layers first, until the target size is reached.

    A channel is worth the sum of the scores of its filter; coupled channels are worth the sum over all their
    filters. Every layer keeps its ``min_channels`` best. What is left comes as near to the target as any
    number of removals can bring it; of two equally near networks, the larger one is taken. For GraSP behind
    batch norm the sum over a filter is -||g||^2, so the filters with the largest gradients go first, as with
    whole blocks.

    Args:
        search: its dense run gives the weights; the seed determines the drawn images (those of SNIP at the
            same seed) and random scores. ``search.match`` is the reduced network of a layer ticket, whose
            filters, MACs or parameters are the target; it is ignored if the options have a ``mac_budget``.
        options: criterion, target and scope.

    Returns:
        A ticket of the narrower network, all masks on; its trace has a row per group of channels. The cost is
        one pass over the drawn images for SNIP, three for GraSP, otherwise nothing.

    Raises:
        TicketError: the target is missing, out of reach, or of another network; the network has no channels
            that can go; scores are not finite, or all equal.
    """
    started = time.perf_counter()
    images, dense, match = search.images, search.dense, search.match
    spec, shape = dense.spec, (images.channels, *images.image_size)
    matching = options.matching if options.mac_budget is None else "macs"

    model = search.build(getattr(dense, options.state))
    if options.mac_budget is not None:
        target = round(options.mac_budget * count_size(model, "macs", shape))
    elif match is None:
        raise TicketError(
            "filter needs the layer ticket whose size it must match, or filter.extraction.mac_budget, "
            "the share of the dense network's MACs that may remain"
        )
    elif match.restored() != spec.restored():
        raise TicketError(f"filter was given a {match.name} to match, but the dense run is of a {spec.name}")
    else:
        other = build_model(match, seed=0, device="meta", allow_factory=search.allow_factory)
        target = count_size(other, matching, shape)
    predict = predict_size(model, matching, shape)
    groups: list[ChannelGroup] = []
    order: list[tuple[str, int]] = []
    cost = 0.0
    if target < count_size(model, matching, shape):  # otherwise nothing has to go, so no groups are needed
        groups = _find_groups(model, options.scope, spec, shape)
        values, cost = _score_channels(model.to(search.place), groups, search, options)
        order = order_removals(values, options.min_channels)

    def size_after(removals: int) -> int:
        gone = Counter(name for name, _ in order[:removals])
        counts = {group.name: group.size - gone[group.name] for group in groups}
        return predict(narrow_spec(spec, model, groups, counts))

    kept = {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups}
    for name, channel in order[: nearest_count(size_after, len(order), target)]:
        kept[name][channel] = False
    step, start = search.start(options.start)
    masks = full_masks({name: start[name] for name in prunable_parameters(model, spec.ignore_layers)})
    found = narrow(spec, start, masks, kept, groups=groups, allow_factory=search.allow_factory)
    ticket = search.make_ticket("filter", found.masks, StartPoint(step, found.state), found.spec)
    trace = [
        {"layer": group.name, "channels_before": group.size, "channels_after": int(kept[group.name].sum())}
        for group in groups
    ]
    return Extraction(
        ticket=ticket,
        search_epochs=cost / len(images.train),
        search_seconds=time.perf_counter() - started,
        trace=trace,
    )


def check_filter(outlook: Outlook, options: FilterOptions) -> None:
    """Refuse, before anything runs, a network without filters that can go or be scored.

    Without a ``mac_budget`` the layer ticket decides whether any must.

    Raises:
        UnfitError: no filter can go, or the network cannot be scored.
        ValueError: the package for the scope is not installed.
    """
    if options.scope == "all":
        check_extra("torch_pruning", "compact")
    trial, spec = outlook.trial, outlook.spec
    if trial is not None and options.mac_budget is not None and options.mac_budget < 1:
        with refusal_of("narrow"):
            _find_groups(trial.model, options.scope, spec, (spec.channels, *spec.image_size))
        if options.criterion in _CRITERIA:
            score, _ = _CRITERIA[options.criterion]
            trial.try_scores(options.criterion, score, batch_statistics=options.batch_statistics)


def _find_groups(
    model: nn.Module, scope: Scope, spec: ModelSpec, image_shape: tuple[int, int, int]
) -> list[ChannelGroup]:
    """Return the groups of filters that may go: all their layers are prunable."""
    found = find_inner_groups(model) if scope == "inner" else find_coupled_groups(model.eval(), image_shape)
    prunable = prunable_parameters(model, spec.ignore_layers)
    groups = []
    for group in found:
        weights = [f"{name}.weight" for name in (*group.outputs, *(reader for reader, _ in group.inputs))]
        if all(name in prunable for name in weights) and prunable[weights[0]].dim() == 4:
            groups.append(group)
    if not groups:
        raise TicketError(f"filter finds no filters in {spec.name} that can go within the scope {scope}")
    return groups


def _score_channels(
    model: nn.Module, groups: Iterable[ChannelGroup], search: Search, options: FilterOptions
) -> tuple[dict[str, Tensor], float]:
    """Return the worth of channels, float64 by group, and the cost in images of a training step."""
    cost = 0
    if options.criterion == "random":
        generator = make_generator(search.seed, "filter")
        return {group.name: torch.rand(group.size, generator=generator).double() for group in groups}, cost
    if options.criterion == "l1":
        scores = {name: weight.detach().abs() for name, weight in prunable_parameters(model).items()}
    else:
        device = next(model.parameters()).device
        pixels, labels = draw_calibration(
            search.images, per_class=options.images_per_class, seed=search.seed, device=device
        )
        score, passes = _CRITERIA[options.criterion]
        cost = passes * len(labels)
        scores = score(
            model,
            pixels,
            labels,
            ignore_layers=search.dense.spec.ignore_layers,
            batch_size=options.batch_size,
            batch_statistics=options.batch_statistics,
        )
    return value_channels(groups, scores, options.criterion), cost
