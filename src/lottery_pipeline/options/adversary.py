"""Options of adversarial training: which attack changes the images of every batch. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lottery_pipeline.options.lists import Group
from lottery_pipeline.options.robustness import Eps, Norm, check_distances

_STEPS = 7  # of PGD (arXiv 1706.06083)
_PARTS = 4  # of eps that a step of PGD is long: 2/255 of 8/255
_STRETCH = 1.25  # of eps that the one step of FGSM-RS is long (arXiv 2001.03994)


class Adversary(Group):
    """The attack of adversarial training, on pixels in [0, 1].

    Attributes:
        kind: ``pgd`` (arXiv 1706.06083), or ``fgsm_rs`` (arXiv 2001.03994), which makes a single step. Both
            start from a random point of the ball.
        norm: of the distance between an image and its adversarial neighbour; ``fgsm_rs`` knows Linf only.
        eps: largest distance; ``8/255`` is a valid way to write one.
        steps: of ``pgd``; null is 7.
        step_size: in the units of eps; null is eps / 4, for ``fgsm_rs`` 1.25 eps.
    """

    kind: Literal["pgd", "fgsm_rs"]
    norm: Norm = "Linf"
    eps: Annotated[Eps, Field(gt=0)] = 8 / 255
    steps: int | None = Field(default=None, ge=1, le=1000)
    step_size: Annotated[Eps, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_distances(self.norm, eps=self.eps, step_size=self.step_size)
        if self.kind == "fgsm_rs" and self.norm != "Linf":
            raise ValueError(f"fgsm_rs knows the norm Linf only; for {self.norm} choose kind pgd")
        if self.kind == "fgsm_rs" and self.steps not in (None, 1):
            raise ValueError(f"fgsm_rs makes a single step, not {self.steps}; for more choose kind pgd")
        return self

    def count_steps(self) -> int:
        """Return how many steps the attack makes."""
        return self.steps or (_STEPS if self.kind == "pgd" else 1)

    def find_step_size(self) -> float:
        """Return how long a step is, in the units of eps."""
        default = self.eps / _PARTS if self.kind == "pgd" else _STRETCH * self.eps
        return default if self.step_size is None else self.step_size
