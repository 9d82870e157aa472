"""A small extraction method with scores, for the tests of the sanity checks."""

import math
from dataclasses import dataclass

import torch
from pydantic import BaseModel

from lottery_pipeline.options import Start
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction, StartPoint
from lottery_pipeline.sparsity.selection import keep_top_k

PRUNABLE = ("network.1.weight", "network.3.weight", "network.5.weight")


class Options(BaseModel):
    density: float = 0.2
    start: Start = "rewind"


@dataclass
class ScoreMethod:
    """Keep the highest scores; a method that looks at the images adds noise that follows from the labels.

    Attributes:
        looks: at the images.
        factor: by which the start weights are multiplied.
        seen: fingerprints of the images of every search.
    """

    looks: bool = False
    factor: float = 1.0
    seen: list[str] | None = None

    def __call__(self, search, options):
        images = search.images
        if self.seen is not None:
            self.seen.append(images.fingerprint)
        step, start = search.start(options.start)
        state = {name: tensor * self.factor if name in PRUNABLE else tensor for name, tensor in start.items()}
        generator = make_generator(0, fingerprint_tensors({"labels": images.train.labels}))
        scores = {name: state[name].abs() for name in PRUNABLE}
        if self.looks:
            scores = {name: torch.rand(score.shape, generator=generator) for name, score in scores.items()}
        size = sum(score.numel() for score in scores.values())
        masks = keep_top_k(scores, math.floor(options.density * size))
        ticket = search.make_ticket("score", masks, StartPoint(step, state))
        return Extraction(ticket, search_epochs=0.1, search_seconds=0.1, rank=lambda: scores)
