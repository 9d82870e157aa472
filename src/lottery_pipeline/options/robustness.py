"""Options of the robustness evaluation: attacks, corruptions, strangers, confidence. Imports no torch."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lottery_pipeline.options.lists import DISTINCT, Group, TextWithBlanks
from lottery_pipeline.options.numerals import write_number

AttackName = Literal["fgsm", "pgd", "fmn", "autoattack"]
Norm = Literal["Linf", "L2"]
AutoAttackPart = Literal["apgd-ce", "apgd-t", "fab-t", "square"]
Corruption = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
]
Score = Literal["msp", "max_logit", "energy"]
# Sets of strangers that need no files; beside them torchvision:<name> and folder:<path>.
OFFLINE_STRANGERS = ("noise", "shuffled_pixels", "other_digits")
_FRACTION = re.compile(r"\d+(\.\d+)?(e-?\d+)?(/\d+)?")


def read_eps(value: object) -> object:
    """Read ``8/255`` as a number; anything else stays as it is."""
    if isinstance(value, str) and _FRACTION.fullmatch(value.strip()):
        number, _, unit = value.strip().partition("/")
        if unit and int(unit) == 0:
            raise ValueError(f"{value!r} divides by 0")
        return float(Fraction(number) / int(unit or 1))
    return value


def _check_stranger(name: str) -> str:
    kind, _, rest = name.partition(":")
    if name in OFFLINE_STRANGERS or (kind in ("torchvision", "folder") and rest):
        return name
    raise ValueError(
        f"{name!r} is not a valid set of strangers; allowed are {', '.join(OFFLINE_STRANGERS)}, "
        "torchvision:<name> and folder:<path>"
    )


Eps = Annotated[float, BeforeValidator(read_eps), Field(ge=0, allow_inf_nan=False)]
Images = Annotated[int, Field(strict=True, ge=1)] | None


def check_distances(norm: Norm, **distances: float | None) -> None:
    """Refuse distances in steps of 8-bit images, where pixels are meant.

    Raises:
        ValueError: one is larger than any Linf distance of two images.
    """
    for name, value in distances.items():
        if norm == "Linf" and value is not None and value > 1:
            number = write_number(value)
            raise ValueError(
                f"{name} is {number}, but pixels are in [0, 1]; for {number} steps of 8-bit images write "
                f"{number}/255"
            )


class AutoAttackOptions(Group):
    """What AutoAttack runs (arXiv 2003.01690).

    Attributes:
        parts: in this order; all four with the default budgets are its version ``standard``.
        iterations: of APGD and FAB.
        queries: of Square.
        target_classes: targets of the targeted parts; fewer where there are fewer classes.
    """

    parts: Annotated[tuple[AutoAttackPart, ...], Field(min_length=1), DISTINCT] = (
        "apgd-ce",
        "apgd-t",
        "fab-t",
        "square",
    )
    iterations: int = Field(default=100, ge=1, le=10_000)
    queries: int = Field(default=5000, ge=1, le=1_000_000)
    target_classes: int = Field(default=9, ge=1, le=1000)


class AdversarialOptions(Group):
    """Which attacks are run, how long, and within which distance.

    Attributes:
        attacks: a cascade in this order: an image that one has fooled is not attacked again.
        norm: of the distance between an image and its adversarial neighbour.
        eps: largest distances, pixels being in [0, 1]; ``8/255`` is a valid way to write one.
        eps_limit: while more than half of the clean accuracy stands, the last eps is doubled up to this one;
            null leaves the curve as it is.
        steps: of PGD.
        restarts: of PGD, each from another point of the ball.
        step_size: of PGD, in units of pixels; null is 2.5 eps / steps.
        fmn_steps: of FMN.
        autoattack: what AutoAttack runs, if it is one of the attacks.
        images: how many test images are attacked, the same ones for every network; null attacks all.
        batch_size: images at once; a stop costs at most one batch.
    """

    attacks: Annotated[tuple[AttackName, ...], Field(min_length=1), DISTINCT] = (
        "fgsm",
        "fmn",
        "pgd",
    )
    norm: Norm = "Linf"
    eps: Annotated[tuple[Eps, ...], Field(min_length=1), DISTINCT] = tuple(
        value / 255 for value in (0.25, 0.5, 1, 2, 4, 8)
    )
    eps_limit: Eps | None = 64 / 255
    steps: int = Field(default=20, ge=1, le=10_000)
    restarts: int = Field(default=1, ge=1, le=100)
    step_size: Eps | None = None
    fmn_steps: int = Field(default=30, ge=1, le=10_000)
    autoattack: AutoAttackOptions = AutoAttackOptions()
    images: Images = None
    batch_size: int = Field(default=128, ge=1, le=65_536)

    @model_validator(mode="after")
    def _has_pixel_units(self) -> Self:
        if list(self.eps) != sorted(self.eps):
            raise ValueError("eps must ascend, for example [2/255, 8/255]")
        check_distances(self.norm, eps=self.eps[-1], eps_limit=self.eps_limit, step_size=self.step_size)
        return self


class CorruptionOptions(Group):
    """Which corruptions, and on which images.

    Attributes:
        names: of our generators; they are like those of CIFAR-10-C, with its severities.
        severities: 1 to 5.
        published: folder of the published files of CIFAR-10-C or CIFAR-100-C (one npy for each corruption
            and ``labels.npy``); they are used in place of the generators.
        new_test_sets: folders of CIFAR-10.1 or CIFAR-10.2.
        images: how many test images are corrupted, the same ones for every network; null takes all.
    """

    names: Annotated[tuple[Corruption, ...], Field(min_length=1), DISTINCT] = Corruption.__args__  # type: ignore[attr-defined]
    severities: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=5)], ...], Field(min_length=1), DISTINCT
    ] = (1, 2, 3, 4, 5)
    published: str | None = None
    new_test_sets: Annotated[tuple[TextWithBlanks, ...], DISTINCT] = ()
    images: Images = None

    def resolve(self, project: Path) -> Self:
        """Let relative paths start at the project folder."""
        paths = {"published": self.published and str(project / self.published)}
        return self.model_copy(
            update={**paths, "new_test_sets": tuple(str(project / name) for name in self.new_test_sets)}
        )


class DetectionOptions(Group):
    """Out-of-distribution detection: which strangers, which scores.

    Attributes:
        sets: ``noise``, ``shuffled_pixels`` (the test images themselves, pixels shuffled), ``other_digits``
            (a built-in set that is not the one trained on), ``torchvision:<name>``, ``folder:<path>``.
        scores: higher means stranger.
        temperature: of the energy score.
        root: where the torchvision sets lie.
        images: at most so many images of either kind; null takes all.
    """

    sets: Annotated[
        tuple[Annotated[TextWithBlanks, AfterValidator(_check_stranger)], ...],
        Field(min_length=1),
        DISTINCT,
    ] = OFFLINE_STRANGERS
    scores: Annotated[tuple[Score, ...], Field(min_length=1), DISTINCT] = (
        "msp",
        "max_logit",
        "energy",
    )
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    root: str | None = None
    images: Images = None

    def resolve(self, project: Path) -> Self:
        """Let relative paths start at the project folder."""
        sets = [
            f"folder:{project / name.partition(':')[2]}" if name.startswith("folder:") else name
            for name in self.sets
        ]
        return self.model_copy(update={"sets": tuple(sets), "root": self.root and str(project / self.root)})


class CalibrationOptions(Group):
    """How confidence is judged.

    Attributes:
        bins: of equal width, of the calibration error and the reliability diagram.
        temperature_scaling: whether the error is also given after scaling the logits; the temperature is
            fitted on the validation images (arXiv 1706.04599).
    """

    bins: int = Field(default=15, ge=1, le=1000)
    temperature_scaling: bool = True


class RobustnessOptions(Group):
    """What pipeline ``robustness_evaluation`` measures; a family that is null is left out.

    Attributes:
        methods: whose trained tickets are measured beside the dense network; an empty list takes all that
            are there.
        adversarial: worst-case changes of the images.
        corruptions: common changes of the images.
        out_of_distribution: images of other kinds.
        calibration: confidence.
        confidence: of the intervals.
        margin: points (a fraction) that a ticket may lose and still count as not worse than dense.
        resamples: of the bootstrap.
    """

    methods: Annotated[tuple[str, ...], DISTINCT] = ()
    adversarial: AdversarialOptions | None = AdversarialOptions()
    corruptions: CorruptionOptions | None = CorruptionOptions()
    out_of_distribution: DetectionOptions | None = DetectionOptions()
    calibration: CalibrationOptions | None = CalibrationOptions()
    confidence: float = Field(default=0.95, gt=0, lt=1)
    margin: float = Field(default=0.01, gt=0, lt=1)
    resamples: int = Field(default=2000, ge=100, le=1_000_000)

    def resolve(self, project: Path) -> Self:
        """Let relative paths start at the project folder."""
        corruptions, strangers = self.corruptions, self.out_of_distribution
        return self.model_copy(
            update={
                "corruptions": corruptions and corruptions.resolve(project),
                "out_of_distribution": strangers and strangers.resolve(project),
            }
        )

    @model_validator(mode="before")
    @classmethod
    def _measures_something(cls, given: Any) -> Any:
        families = ("adversarial", "corruptions", "out_of_distribution", "calibration")
        if isinstance(given, dict) and all(given.get(name, given) is None for name in families):
            raise ValueError(f"at least one of {', '.join(families)} must not be null")
        return given
