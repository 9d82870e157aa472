"""Rounds of scoring a masked network and keeping the highest: progress, and resuming after a kill."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.sparsity.selection import Scores, keep_top_k

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0


@dataclass
class ScoreRounds:
    """What the rounds so far have left.

    Attributes:
        masks: of the weights that are left.
        survived: 1 + rounds that each weight has survived, int32.
        scores: the last score of each weight; None before the first round.
        number: rounds done.
        seconds: time they took, including the time before a kill.
    """

    masks: Masks
    survived: dict[str, Tensor]
    scores: Scores | None = None
    number: int = 0
    seconds: float = 0.0

    def take(self, scores: Scores) -> Scores:
        """Take the scores of a round, in place; what is pruned keeps its last. Return them."""
        if self.scores is not None:
            for name, mask in self.masks.items():
                scores[name] = scores[name].where(mask, self.scores.pop(name))
        self.scores = scores
        return scores

    def final_scores(self) -> Scores | None:
        """Return the scores of a single round; of several, ranks from 1 (removed first) to D. On the CPU."""
        if self.scores is None:
            return None
        scores = {name: value.cpu() for name, value in self.scores.items()}
        return scores if self.number == 1 else rank_removals(self.survived, scores)


def remove_in_rounds(
    method: str,
    score: Callable[[Masks], Scores],
    masks: Masks,
    counts: list[int],
    *,
    fingerprint: str,
    checkpoints: Checkpoints | None,
) -> ScoreRounds:
    """Score and keep the highest, round after round, until the last count is left.

    Args:
        method: its name, for the log.
        score: masks of what is left -> scores of it, higher = keep.
        masks: the masks to start from; everything that follows lies on their device.
        counts: weights that are left after each round.
        fingerprint: that of the whole computation.
        checkpoints: where unfinished rounds are kept; None keeps none.

    Returns:
        The state after the last round; on a CPU the same bits as without a kill.
    """
    rounds = _resume(method, masks, fingerprint, checkpoints)
    before, started = rounds.seconds, time.perf_counter()
    first, told = rounds.number, started
    for kept in counts[first:]:
        rounds.masks = keep_top_k(rounds.take(score(rounds.masks)), kept, within=rounds.masks)
        rounds.survived = {name: rounds.survived[name] + mask for name, mask in rounds.masks.items()}
        rounds.number += 1
        now = time.perf_counter()
        rounds.seconds = before + now - started
        if now - told > _SECONDS_BETWEEN_LINES:
            told = now
            left = (now - started) / (rounds.number - first) * (len(counts) - rounds.number)
            logger.info("%s: round %d of %d, about %.0f s left.", method, rounds.number, len(counts), left)
        if checkpoints is not None and rounds.number < len(counts) and checkpoints.is_due():
            _save(rounds, fingerprint, checkpoints)
    return rounds


def rank_removals(survived: dict[str, Tensor], scores: Scores) -> Scores:
    """Rank weights by (rounds survived, score); among equals the first is highest, as in ``keep_top_k``."""
    flat = torch.cat([value.flatten() for value in scores.values()])
    rounds = torch.cat([survived[name].cpu().flatten() for name in scores])
    order = flat.argsort(descending=True, stable=True)
    order = order[rounds[order].argsort(descending=True, stable=True)]
    ranks = torch.empty(len(flat), dtype=torch.float64)
    ranks[order] = torch.arange(len(flat), 0, -1, dtype=torch.float64)
    parts = ranks.split([value.numel() for value in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def _save(rounds: ScoreRounds, fingerprint: str, checkpoints: Checkpoints) -> None:
    kinds = {"masks": rounds.masks, "survived": rounds.survived, "scores": rounds.scores or {}}
    tensors = {f"{kind}/{name}": tensor for kind, part in kinds.items() for name, tensor in part.items()}
    checkpoints.save(fingerprint, tensors, {"number": rounds.number, "seconds": rounds.seconds})


def _resume(method: str, masks: Masks, fingerprint: str, checkpoints: Checkpoints | None) -> ScoreRounds:
    saved = None if checkpoints is None else checkpoints.load(fingerprint)
    if saved is None:
        return ScoreRounds(masks, {name: mask.int() for name, mask in masks.items()})
    tensors, record = saved
    masks, survived, scores = (
        {name: tensors[f"{kind}/{name}"].to(mask.device) for name, mask in masks.items()}
        for kind in ("masks", "survived", "scores")
    )
    logger.info("%s resumes after round %d.", method, record["number"])
    return ScoreRounds(masks, survived, scores, record["number"], record["seconds"])
