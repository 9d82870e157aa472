"""The cascade: attack after attack over growing eps, each on the images that still stand.

An image that is fooled within a small ball is fooled within every larger one, so the smallest eps at which
an image falls says all about it, and the curve is the least over all attacks.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from lottery_pipeline.images.balls import distance
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import AdversarialOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.robustness.attacks import ATTACKS, AttackName, Target
from lottery_pipeline.robustness.gradients import gradients_counted
from lottery_pipeline.robustness.threat import Threat, is_within
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.device import seeded


class Attacked(NamedTuple):
    """One finished batch.

    Attributes:
        attack: by its name in ``ATTACKS``.
        eps: None if the attack looks for the smallest change.
        indices: places of the images in their set.
        standing: how many images no attack has fooled yet within this eps.
    """

    attack: AttackName
    eps: float | None
    indices: tuple[int, ...]
    standing: int


OnBatch = Callable[[Attacked], None]


@dataclass
class Standing:
    """What is known so far; with this a stopped cascade resumes.

    Attributes:
        least: float64 ``[N]``, the smallest eps at which an image is fooled: 0 if it is wrong unchanged,
            infinite if no attack has succeeded.
        fooled_by: int64 ``[N]``, the attack that did it, by its place in ``ATTACKS``; -1 for none.
        order: int64, the images that are right unchanged, the least sure ones first: images that fall
            together make small batches early.
        queue: int64, what the stage under way attacks.
        stages: how many are finished.
        done: how much of the queue is finished; None between stages.
        gradients: images differentiated in attacks.
        attacked: images attacked, each once for every attack and eps.
        unverified: images that an attack returned misclassified, but outside the ball or the box.
        warnings: what attacks have warned of.
        checks: of the network, made before the first attack.
    """

    least: Tensor
    fooled_by: Tensor
    order: Tensor
    queue: Tensor
    stages: int = 0
    done: int | None = None
    gradients: int = 0
    attacked: int = 0
    unverified: int = 0
    warnings: dict[str, bool] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)

    def split(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and plain values, as a checkpoint takes them."""
        values = asdict(self)
        return {name: values.pop(name) for name in ("least", "fooled_by", "order", "queue")}, values

    @classmethod
    def join(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> Self:
        """Return what was split; the tensors may be read from a file."""
        whole: dict[str, Any] = {**tensors, **values}
        return cls(**whole)

    def count(self, eps: float) -> int:
        """Return how many images stand at an eps."""
        return int((self.least > eps).sum())


class Cascade:
    """Attacks images until all attacks have been run at every eps, saving after each batch.

    Args:
        model: placed, in evaluation mode, weights frozen.
        images: what is attacked, on the device of the model.
        indices: int64 ``[N]`` on the CPU, their places in their set.
        options: budgets and the grid of eps.
        attacks: which can be run, in their order.
        seed: of everything drawn.
        standing: where to begin; changed by ``run``.
        checkpoints: where to save; None saves nothing.
        fingerprint: of all that determines the result.
        on_batch: called after each batch, once it is saved.
    """

    def __init__(
        self,
        model: nn.Module,
        images: ImageSet,
        indices: Tensor,
        options: AdversarialOptions,
        attacks: Sequence[AttackName],
        *,
        seed: int,
        standing: Standing,
        checkpoints: Checkpoints | None,
        fingerprint: str,
        on_batch: OnBatch,
    ) -> None:
        self.standing = standing
        self._model, self._images, self._indices = model, images, indices
        self._options, self._attacks, self._seed = options, attacks, seed
        self._checkpoints, self._fingerprint, self._on_batch = checkpoints, fingerprint, on_batch

    def run(self) -> list[float]:
        """Run every stage that is not finished yet.

        Returns:
            The eps of the curve: those of the options, doubled up to the limit while more than half of the
            images that are right unchanged stand at the last one.
        """
        eps = list(self._options.eps)
        stage = 0
        for name in self._attacks:
            if ATTACKS[name].finds_distance:
                self._run_stage(stage, name, None)
                stage += 1
        for value in eps:  # which grows
            for name in self._attacks:
                if not ATTACKS[name].finds_distance:
                    self._run_stage(stage, name, value)
                    stage += 1
            if value == eps[-1] and (further := self._extend(value)) is not None:
                eps.append(further)
        return eps

    def _extend(self, last: float) -> float | None:
        limit = self._options.eps_limit or 0
        flat = 2 * self.standing.count(last) > len(self.standing.order)
        return min(2 * last, limit) if flat and 0 < last < limit else None

    def _run_stage(self, stage: int, name: AttackName, eps: float | None) -> None:
        now = self.standing
        if stage < now.stages:
            return
        if now.done is None:
            within = 0.0 if eps is None else eps
            # The queue is kept as it is here: a resumed stage has the batches of one that was not stopped.
            now.queue = now.order[now.least[now.order] > within] if eps != 0 else now.order[:0]
            now.done = 0
        size = self._options.batch_size
        while now.done < len(now.queue):
            batch = now.queue[now.done : now.done + size]
            with seeded(self._images.images.device, derive_seed(self._seed, "batch", stage, now.done)):
                self._attack(name, eps, batch)
            now.done += len(batch)
            now.attacked += len(batch)
            if self._checkpoints is not None:
                self._checkpoints.save(self._fingerprint, *now.split())
            indices = tuple(self._indices[batch].tolist())
            self._on_batch(Attacked(name, eps, indices, now.count(eps or 0.0)))
        now.stages, now.done = stage + 1, None

    def _attack(self, name: AttackName, eps: float | None, batch: Tensor) -> None:
        """Attack one batch, and count only what a pass of its own confirms."""
        now, options = self.standing, self._options
        there = batch.to(self._images.images.device)
        pixels = to_pixels(self._images.images[there].permute(0, 2, 3, 1))
        labels = self._images.labels[there]
        threat = Threat(options.norm, eps) if eps is not None else _whole_box(pixels, options)
        target = Target(self._model, pixels, labels, self._indices[batch], threat, self._seed)
        with gradients_counted(self._model) as counter:
            found, warnings = ATTACKS[name].run(target, options)
        now.gradients += counter.gradients
        for warning, given in warnings.items():
            now.warnings[warning] = now.warnings.get(warning, False) or given
        with torch.no_grad():
            wrong = self._model(found).argmax(1) != labels
        inside, moved = is_within(found, pixels, threat), distance(found, pixels, options.norm)
        now.unverified += int((wrong & ~inside).sum())
        fooled = (wrong & inside & (moved > 0)).cpu()
        reached = moved.cpu().double() if eps is None else torch.full(fooled.shape, eps, dtype=torch.float64)
        now.least[batch[fooled]] = reached[fooled]
        now.fooled_by[batch[fooled]] = list(ATTACKS).index(name)


def _whole_box(pixels: Tensor, options: AdversarialOptions) -> Threat:
    return Threat(options.norm, 1.0 if options.norm == "Linf" else math.sqrt(pixels[0].numel()))
