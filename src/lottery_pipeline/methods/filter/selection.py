"""Which filters go: the size of a network, the order of removal, and where in that order a size is met."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.costs.sizes import count_filters, count_parameters
from lottery_pipeline.models.reduction import layer_widths
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.filter import Matching
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.surgery.channels import ChannelGroup
from lottery_pipeline.tickets.errors import TicketError


def count_size(model: nn.Module, matching: Matching, image_shape: tuple[int, int, int]) -> int:
    """Return the filters (output channels of all convolutions), MACs or trainable parameters of a network."""
    if matching == "macs":
        return total_macs(count_macs(model, image_shape))
    return count_parameters(model) if matching == "parameters" else count_filters(model)


def predict_size(
    model: nn.Module, matching: Matching, image_shape: tuple[int, int, int]
) -> Callable[[ModelSpec], int]:
    """Return a function that gives the size of narrower networks without building them.

    MACs and weights of a layer are in proportion to its channels in and out, everything else to its channels
    out.

    Args:
        model: the network itself, on any device.
        matching: as in ``count_size``.
        image_shape: channels, height, width.
    """
    whole = count_size(model, matching, image_shape)
    macs = count_macs(model, image_shape) if matching == "macs" else {}
    prices: dict[
        str, tuple[int, int, int, int]
    ] = {}  # channels in and out; per pair of them, per channel out
    for name, layer in model.named_modules():
        widths = layer_widths(layer)
        if widths is None:
            continue
        pairs, singles = 0, 0
        if matching == "macs":
            pairs = macs.get(f"{name}.weight", 0) // (widths[0] * widths[1])
        elif matching == "parameters":
            sizes = {part: parameter.numel() for part, parameter in layer.named_parameters()}
            if not isinstance(layer, nn.BatchNorm2d):
                pairs = sizes.pop("weight") // (widths[0] * widths[1])
            singles = sum(sizes.values()) // widths[1]
        else:
            singles = int(isinstance(layer, nn.Conv2d))
        prices[name] = (*widths, pairs, singles)

    def size(spec: ModelSpec) -> int:
        total = whole
        for name, before, after in spec.narrowed:
            full_before, full_after, pairs, singles = prices[name]
            total -= pairs * (full_before * full_after - before * after) + singles * (full_after - after)
        return total

    return size


def value_channels(
    groups: Iterable[ChannelGroup], scores: Mapping[str, Tensor], criterion: str
) -> dict[str, Tensor]:
    """Return what channels are worth: the sum over their filters.

    Args:
        groups: the network's groups.
        scores: scores of the weights [channels, ...], by parameter name.
        criterion: its name, for errors.

    Returns:
        Float64 [channels] by name of the group, on the CPU; higher = keep.

    Raises:
        TicketError: a value is not finite, or all are equal.
    """
    values: dict[str, Tensor] = {}
    for group in groups:
        filters = [scores[f"{name}.weight"].cpu().double().flatten(1).sum(1) for name in group.outputs]
        values[group.name] = torch.stack(filters).sum(0)
    flat = torch.cat(list(values.values()))
    if not bool(flat.isfinite().all()):
        raise TicketError(f"filter cannot rank channels by {criterion}: a score is not finite")
    if bool((flat == flat[0]).all()):
        raise TicketError(
            f"filter cannot rank channels by {criterion}: all {len(flat)} scores are "
            f"{write_number(float(flat[0]))}, as "
            "happens when residual branches start at zero"
        )
    return values


def order_removals(values: Mapping[str, Tensor], min_channels: int) -> list[tuple[str, int]]:
    """Return the channels that may go, in order of removal; of equal values, the last in the network first.

    Args:
        values: [channels] by name of the group, higher = keep.
        min_channels: how many of the best of every group are not listed.
    """
    places = [(name, channel) for name, value in values.items() for channel in range(len(value))]
    ranking = torch.cat([value.double() for value in values.values()]).argsort(descending=True, stable=True)
    passed: Counter[str] = Counter()
    removable = []
    for name, channel in (places[index] for index in ranking.tolist()):
        passed[name] += 1
        if passed[name] > min_channels:
            removable.append((name, channel))
    return removable[::-1]


def nearest_count(size_after: Callable[[int], int], most: int, target: int) -> int:
    """Return how many removals come nearest to a size; of two equally near, the fewer, for a larger network.

    Args:
        size_after: size of the network after so many removals; each makes it smaller.
        most: largest possible number of removals.
        target: the size.

    Raises:
        TicketError: the size is below everything that can be reached.
    """
    size_after = cache(size_after)
    least = size_after(most)
    if least > target:
        raise TicketError(
            f"filter cannot bring the network down to {target}, the least it can reach is {least}; aim "
            "higher, lower min_channels or choose scope all"
        )
    removals = bisect_left(range(most + 1), -target, key=lambda count: -size_after(count))
    if removals and size_after(removals - 1) - target <= target - size_after(removals):
        return removals - 1
    return removals
