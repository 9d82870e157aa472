"""Allocation: how many weights each layer keeps. Totals are exact: computed with fractions, not floats."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction


class DensityError(ValueError):
    """A density, rate or count that cannot be met."""


def kept_count(density: float, prunable: int) -> int:
    """Return k = floor(density * D), computed from the decimal digits of the density.

    ``0.29 * 100`` is 28.999... in binary floating point; a person who writes 0.29 means 29.

    Args:
        density: kept / prunable, in (0, 1].
        prunable: D, number of prunable weights.

    Raises:
        DensityError: the density is outside (0, 1] or so small that no weight is kept.
    """
    kept = math.floor(exact_fraction(density, "density") * prunable)
    if kept < 1:
        raise DensityError(
            f"density {density} keeps none of {prunable} prunable weights; the least is 1 / {prunable}"
        )
    return kept


def exact_fraction(value: float, name: str) -> Fraction:
    """Return the fraction that the decimal digits of ``value`` spell out.

    Raises:
        DensityError: not a number in (0, 1]; the sentence calls it ``name``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise DensityError(f"{name} must be a number in (0, 1], got {value!r}")
    return Fraction(str(value))


def allocate_uniform(sizes: Mapping[str, int], k: int) -> dict[str, int]:
    """Give every layer the same density, as nearly as whole weights allow.

    Args:
        sizes: number of weights per layer.
        k: number of weights to keep in all.

    Returns:
        Kept weights per layer, total exactly k (largest remainder, ties by layer order), none above its size.

    Raises:
        DensityError: k is outside 1..D.
    """
    total = sum(sizes.values())
    _check_total(k, total)
    return _round_to_total({name: Fraction(k * size, total) for name, size in sizes.items()}, k)


def allocate_erk(shapes: Mapping[str, Sequence[int]], k: int) -> dict[str, int]:
    """Allocate by Erdos-Renyi-Kernel densities (Evci et al. 2020, RigL, section 3).

    The density of a layer is proportional to (n_in + n_out + kh + kw) / (n_in n_out kh kw), for a linear
    layer to (n_in + n_out) / (n_in n_out): its kept weights are proportional to the sum of its shape. Layers
    that would exceed density 1 are dense and the others share what is left. Deviation from RigL: as long as
    k is at least the number of layers, every layer keeps at least one weight.

    Args:
        shapes: weight shape per layer.
        k: number of weights to keep in all.

    Returns:
        Kept weights per layer, total exactly k (largest remainder, ties by layer order), none above its size.

    Raises:
        DensityError: k is outside 1..D.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    sums = {name: sum(shape) for name, shape in shapes.items()}
    _check_total(k, sum(sizes.values()))
    least = 1 if k >= len(shapes) else 0

    def quotas(scale: Fraction) -> dict[str, Fraction]:
        return {name: min(max(scale * sums[name], Fraction(least)), Fraction(sizes[name])) for name in sizes}

    # The total grows piecewise linearly with the scale; it bends where a layer leaves a bound.
    bends = sorted({Fraction(bound, sums[name]) for name in sizes for bound in (least, sizes[name])})
    after = bisect_left(bends, Fraction(k), key=lambda scale: sum(quotas(scale).values(), Fraction(0)))
    if after == 0:
        return _round_to_total(quotas(bends[0]), k)
    low, high = (sum(quotas(bends[index]).values()) for index in (after - 1, after))
    scale = bends[after - 1] + (bends[after] - bends[after - 1]) * (k - low) / (high - low)
    return _round_to_total(quotas(scale), k)


def allocate_smart_ratio(shapes: Mapping[str, Sequence[int]], k: int, *, vgg: bool = False) -> dict[str, int]:
    """Allocate by smart ratios (Su et al. 2020, Sanity-Checking Pruning Methods).

    Linear layers keep 0.3 of their weights. The density of a convolution, layer i of n, is proportional to
    (n - i + 1)^2 + (n - i + 1), divided by i^2 for VGG; what a layer cannot hold goes to the layers after it.
    As in the authors' code, i and n count convolutions and linear layers alike.

    Args:
        shapes: weight shape per layer, in forward order; a convolution has more than two dimensions.
        k: number of weights to keep in all.
        vgg: divide by i^2.

    Returns:
        Kept weights per layer, total exactly k (largest remainder, ties by layer order), none above its size.

    Raises:
        DensityError: k is outside 1..D, there is no convolution, or the convolutions cannot make up for what
            the linear layers keep.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    _check_total(k, sum(sizes.values()))
    ratios = {}
    for place, (name, shape) in enumerate(shapes.items(), start=1):
        left = len(shapes) - place + 1
        if len(shape) > 2:
            ratios[name] = Fraction(left**2 + left, place**2 if vgg else 1)
    if not ratios:
        raise DensityError("smart ratios need a convolution, but all layers are linear; use erk or uniform")
    linear = {name: size * 3 // 10 for name, size in sizes.items() if name not in ratios}
    least = sum(linear.values())
    most = least + sum(sizes[name] for name in ratios)
    if not least <= k <= most:
        raise DensityError(
            f"smart ratios keep 0.3 of the linear weights, so they can keep {least} to {most} in all, not {k}"
        )
    scale = Fraction(k - least) / sum(ratio * sizes[name] for name, ratio in ratios.items())
    quotas, excess = {}, Fraction(0)
    for name, ratio in ratios.items():  # falling: full layers come first and the excess finds room
        wanted = scale * ratio * sizes[name] + excess
        quotas[name] = min(wanted, Fraction(sizes[name]))
        excess = wanted - quotas[name]
    counts = linear | _round_to_total(quotas, k - least)
    return {name: counts[name] for name in shapes}


def _check_total(k: int, total: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= total:
        raise DensityError(f"k must be a whole number from 1 to {total}, got {k!r}")


def _round_to_total(quotas: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Round quotas that sum to ``total`` by the largest remainder; stable sorting keeps ties in order."""
    counts = {name: math.floor(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts
