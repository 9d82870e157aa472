"""Naive twin of allocate_erk: solve for epsilon, make layers above density 1 dense, solve again."""

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
