"""Whether a replayed step does what the step does, but for kernels that add up in any order."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from lottery_pipeline.options.numerals import write_number

Tensors: TypeAlias = Mapping[str, Sequence[Tensor]]  # by kind, such as "weights"

# They agree if their difference is at most this share of what the step changes, plus ten times the difference
# of the step from itself, which must be a small share, too.
_TOLERANCE, _NOISE, _LARGEST_NOISE = 1e-3, 10.0, 0.25


def find_disagreement(start: Tensors, replayed: Tensors, once: Tensors, again: Tensors) -> str:
    """Compare a replayed step with the step itself, which was made twice from the same state.

    Args:
        start: the state before all of them, by kind.
        replayed: after the replay.
        once: after the step.
        again: after the step, made a second time.

    Returns:
        The first kind of tensors that differ by more than the tolerance; empty if all agree. The norm is over
        all tensors of a kind; numbers that are not finite agree with each other.
    """
    kinds, norms = list(start), []
    for kind in kinds:
        sizes = [
            torch.stack([_distance(a, b).square() for a, b in zip(first[kind], second[kind], strict=True)])
            .sum()
            .sqrt()
            for first, second in ((replayed, once), (once, start), (once, again))
            if len(first[kind])
        ]
        norms.append(torch.stack(sizes) if sizes else torch.zeros(3, dtype=torch.float64))
    for kind, measured in zip(kinds, norms, strict=True):
        gap, change, noise = measured.tolist()
        if noise and not noise <= _LARGEST_NOISE * change:  # NaN is no agreement
            return f"{kind} are not the same twice, by {_share(noise, change)} of their change"
        if gap and not gap <= _TOLERANCE * change + _NOISE * noise:
            return f"{kind} differ by {_share(gap, change)} of their change"
    return ""


def _distance(one: Tensor, other: Tensor) -> Tensor:
    same = (one == other) | (~one.isfinite() & ~other.isfinite())
    return torch.linalg.vector_norm((one.double() - other.double()).masked_fill(same, 0.0))


def _share(part: float, whole: float) -> str:
    return write_number(part / max(whole, 1e-300), 2)
