"""Naive twins: ERK solves for epsilon, makes layers above density 1 dense, solves again; smart ratios."""

import math
from fractions import Fraction


def erk_quotas_naive(shapes, k):
    """Kept weights per layer before rounding, as exact fractions."""
    dense = set()
    while True:
        budget = k - sum(math.prod(shapes[name]) for name in dense)
        sparse = {name: shape for name, shape in shapes.items() if name not in dense}
        raw = {name: Fraction(sum(shape), math.prod(shape)) for name, shape in sparse.items()}
        weighted = sum(density * math.prod(shapes[name]) for name, density in raw.items())
        epsilon = Fraction(budget) / weighted if raw else Fraction(0)
        too_dense = {name for name, density in raw.items() if epsilon * density > 1}
        if not too_dense:
            break
        dense |= too_dense
    densities = {name: Fraction(1) if name in dense else epsilon * raw[name] for name in shapes}
    return {name: densities[name] * math.prod(shape) for name, shape in shapes.items()}


def smart_ratio_quotas_naive(shapes, k, *, vgg):
    """Kept weights per layer before the convolutions are rounded; what one cannot hold goes to the next."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    linear = [len(shape) == 2 for shape in shapes.values()]
    count = len(sizes)
    raw = [(count - i + 1) ** 2 + (count - i + 1) for i in range(1, count + 1)]
    ratios = [Fraction(raw[i - 1], i**2 if vgg else 1) for i in range(1, count + 1)]
    budget = k - sum(3 * size // 10 for size, flat in zip(sizes, linear, strict=True) if flat)
    total = sum(r * size for r, size, flat in zip(ratios, sizes, linear, strict=True) if not flat)
    quotas, excess = [], Fraction(0)
    for ratio, size, flat in zip(ratios, sizes, linear, strict=True):
        if flat:
            quotas.append(Fraction(3 * size // 10))
            continue
        density = ratio * budget / total
        if density >= 1:
            excess += (density - 1) * size
            quotas.append(Fraction(size))
        else:
            taken = min(excess, (1 - density) * size)
            excess -= taken
            quotas.append(density * size + taken)
    return dict(zip(shapes, quotas, strict=True))
