"""Naive twin of keep_top_k: a full Python sort on (score descending, index ascending)."""

import torch


def keep_top_k_naive(scores, k, within=None):
    entries = []
    for layer, (name, score) in enumerate(scores.items()):
        for index, value in enumerate(score.reshape(-1).tolist()):
            if within is None or bool(within[name].reshape(-1)[index]):
                entries.append((-value, layer, index, name))
    masks = {name: torch.zeros(score.shape, dtype=torch.bool) for name, score in scores.items()}
    for _, _, index, name in sorted(entries)[:k]:
        masks[name].view(-1)[index] = True
    return masks
