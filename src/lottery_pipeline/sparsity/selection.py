"""Selection: from scores to masks that keep exactly k weights, ties by index.

Published code thresholds with ``>`` or ``>=`` and so keeps one weight too few or too many, or more with ties.
Here the k-th score is found first. Everything above it is kept, and weights equal to it fill the rest in
index order.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lottery_pipeline.sparsity.masks import Masks, check_masks

Scores: TypeAlias = dict[str, Tensor]


class SelectionError(ValueError):
    """Scores or counts from which no mask can be made."""


def keep_top_k(
    scores: Mapping[str, Tensor],
    k: int | Mapping[str, int],
    *,
    scope: Literal["global", "layer"] = "global",
    within: Mapping[str, Tensor] | None = None,
) -> Masks:
    """Keep the k weights with the highest scores; ties go to the first by (layer order, flat index).

    Args:
        scores: by parameter name, higher = keep; real, infinities allowed, all on one device.
        k: how many weights survive, at least one; for scope ``layer`` how many per layer, zero allowed.
        scope: ``global`` ranks all weights together, ``layer`` each layer by itself.
        within: masks of the weights that may be kept; the others are pruned whatever their score. Passing the
            previous round's masks makes rounds nested.

    Returns:
        Masks on the scores' device; exactly k entries are True.

    Raises:
        SelectionError: a score is NaN, or k is out of range.
        MaskError: ``within`` does not belong to the scores.
    """
    if within is not None:
        check_masks(within, scores)
    if scope == "layer":
        return _keep_per_layer(scores, k, within)
    if scope != "global":
        raise SelectionError(f"scope must be 'global' or 'layer', got {scope!r}")
    if not scores or isinstance(k, Mapping):
        raise SelectionError("scope 'global' needs scores and one number k")
    flats = _flatten(scores)
    flat = torch.cat(list(flats.values()))
    allowed = None
    if within is not None:
        allowed = torch.cat([within[name].reshape(-1) for name in scores]).to(flat.device)
    _check_count(k, 1, flat.numel() if allowed is None else int(allowed.count_nonzero()), "all layers")
    kept = _top_k(flat, k, allowed).split([score.numel() for score in scores.values()])
    return {name: part.reshape(scores[name].shape).clone() for name, part in zip(scores, kept, strict=True)}


def _keep_per_layer(
    scores: Mapping[str, Tensor], k: int | Mapping[str, int], within: Mapping[str, Tensor] | None
) -> Masks:
    if not isinstance(k, Mapping) or k.keys() != scores.keys():
        raise SelectionError(f"scope 'layer' needs one k for each of the {len(scores)} scored layers")
    masks = {}
    for name, flat in _flatten(scores).items():
        allowed = None if within is None else within[name].reshape(-1).to(flat.device)
        _check_count(k[name], 0, flat.numel() if allowed is None else int(allowed.count_nonzero()), name)
        masks[name] = _top_k(flat, k[name], allowed).reshape(scores[name].shape)
    return masks


def _flatten(scores: Mapping[str, Tensor]) -> Scores:
    flats = {}
    for name, score in scores.items():
        flat = score.detach().reshape(-1)
        if flat.is_complex():
            raise SelectionError(f"the scores of {name} are complex, but must be real")
        # Widening to float32 or float64 is exact, so neither order nor ties change.
        if flat.dtype != torch.float64:
            flat = flat.to(torch.float32 if flat.is_floating_point() else torch.float64)
        flats[name] = flat
    # One answer for all layers: on a GPU each would be waited for.
    undefined = torch.stack([flat.isnan().any() for flat in flats.values()]) if flats else torch.zeros(0)
    for name, bad in zip(flats, undefined.tolist(), strict=True):
        if bad:
            raise SelectionError(f"the scores of {name} contain NaN, so no weight can be ranked")
    return flats


def _check_count(k: int, least: int, most: int, where: str) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not least <= k <= most:
        raise SelectionError(f"k must be a whole number from {least} to {most} in {where}, got {k!r}")


def _top_k(scores: Tensor, k: int, allowed: Tensor | None) -> Tensor:
    """Return a bool mask [n] of the k highest scores [n] among the allowed."""
    if allowed is None:
        return mark_top_k(scores, k)
    if scores.device.type == "cpu":
        return _mark_on_host(scores, k, allowed)
    return _mark_on_device(scores.masked_fill(~allowed, -torch.inf), k, allowed)


def mark_top_k(scores: Tensor, k: int) -> Tensor:
    """Mark the k highest of scores, ties by index, without making the host wait for the device.

    Args:
        scores: [n], without NaN; ``keep_top_k`` makes sure of it, which must wait.
        k: from 0 to n.

    Returns:
        bool [n]; exactly k are True.
    """
    size = scores.numel()
    if k in (0, size):
        return torch.full_like(scores, k > 0, dtype=torch.bool)
    return _mark_on_host(scores, k) if scores.device.type == "cpu" else _mark_on_device(scores, k)


def _mark_on_host(scores: Tensor, k: int, allowed: Tensor | None = None) -> Tensor:
    if k == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    # NumPy's own selection: torch takes 16 bytes for each score to find the highest, 8 to leave some out.
    values = scores.detach().numpy()
    among = None if allowed is None else allowed.numpy()
    threshold = _find_highest(values.copy() if among is None else values[among], k)
    mask, ties = values > threshold, values == threshold
    if among is not None:
        mask &= among
        ties &= among
    mask[np.flatnonzero(ties)[: k - np.count_nonzero(mask)]] = True  # in index order
    return torch.from_numpy(mask)


def _find_highest(values: NDArray[Any], k: int) -> Any:
    """Return the k-th highest value; the order of the values is lost."""
    values.partition(len(values) - k)
    return values[-k]


def _mark_on_device(scores: Tensor, k: int, allowed: Tensor | None = None) -> Tensor:
    size = scores.numel()
    if k == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    if 2 * k <= size:
        threshold = scores.topk(k, sorted=False).values.min()
    else:
        threshold = scores.topk(size - k + 1, largest=False, sorted=False).values.max()
    mask, ties = scores > threshold, scores == threshold
    if allowed is not None:  # the others have the lowest score, but so may some of these
        ties = ties & allowed
    return mask | (ties & (ties.cumsum(0) <= k - mask.sum()))
