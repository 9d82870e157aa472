"""The checks of the robustness evaluation, and of what else attacks images, before the first node."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.hooks.image_checks import RECIPES, Counts
from lottery_pipeline.options.extras import check_extra
from lottery_pipeline.options.methods import TICKET_BLOCKS

if TYPE_CHECKING:
    from lottery_pipeline.search.outlook import Outlook
    from lottery_pipeline.search.trial import Trial

ROBUSTNESS = "robustness_evaluation"
ATTACKED = (*RECIPES, ROBUSTNESS)


def check_robustness(parameters: Mapping[str, Any], project: Path, counts: Counts | None) -> None:
    """Check that the files and packages that the evaluation is told to use are there and fit the images.

    Raises:
        ValueError: they are not, or do not; one sentence.
    """
    from lottery_pipeline.robustness.corruptions.preparation import check_files
    from lottery_pipeline.robustness.strangers import check_strangers

    options = parameters[ROBUSTNESS].resolve(project)
    if options.adversarial is not None and "autoattack" in options.adversarial.attacks:
        check_extra("pyautoattack", "robust")
    if options.corruptions is not None:
        known: dict[str, Any] = {}
        if counts is not None:
            known = {"num_classes": counts.classes, "image_shape": counts.shape, "test_images": counts.test}
        check_files(options.corruptions, **known)
    if options.out_of_distribution is not None:
        check_strangers(options.out_of_distribution, source=parameters["data"].source)
    if unknown := [name for name in options.methods if name not in TICKET_BLOCKS]:
        raise ValueError(f"methods has {unknown[0]!r}; allowed are {', '.join(TICKET_BLOCKS)}")


def check_gradients(name: str, parameters: Mapping[str, Any], outlook: "Outlook") -> None:
    """Try the gradient by the pixels, where attacks are asked for.

    Args:
        name: of the group that may ask for them, one of ``ATTACKED``.
        parameters: typed groups.
        outlook: has the network.

    Raises:
        UnfitError: the network cuts it off, so its robustness cannot be measured; one sentence.
        ValueError: the same of a recipe, which nothing can do without.
    """
    from lottery_pipeline.search.trial import UnfitError

    options = parameters[name]
    asked = options.adversarial if name == ROBUSTNESS else options.adversary
    # Of the networks of this package it is known, and other tasks than classification have no attacks.
    if asked is None or outlook.is_built_in or outlook.task != "classification" or outlook.trial is None:
        return
    try:
        try_gradients(outlook.trial)
    except UnfitError as error:
        if name == ROBUSTNESS:
            raise UnfitError(f"{error}; set {name}.adversarial to null to measure the rest") from error
        raise ValueError(f"{name}.adversary: {error}") from error


def try_gradients(trial: "Trial") -> None:
    """Differentiate the loss of two images by their pixels.

    Raises:
        UnfitError: the network cuts the gradient off; one sentence.
    """
    from lottery_pipeline.robustness.gradient_checks import check_gradients as check

    trial.attempt("pixels", lambda: check(trial.model, trial.images, trial.labels), "attack")
