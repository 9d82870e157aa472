"""The blocks of a run, before its first node: which cannot work here, and what the run does without."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.hooks.guards import find_block, spread_reasons
from lottery_pipeline.hooks.image_checks import Counts
from lottery_pipeline.hooks.ownership_checks import check_chosen_attacks
from lottery_pipeline.hooks.robustness_checks import ATTACKED, check_gradients
from lottery_pipeline.hooks.search_checks import check_method, look_ahead
from lottery_pipeline.options import COMPOSITIONS, METHODS

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

DEFAULT = "__default__"
NEED_CLASSES = ("sanity_checks", "signature_embedding", "ownership_attacks", "robustness_evaluation")


def find_required(named: Iterable[str], pipelines: "Mapping[str, Pipeline]") -> set[str]:
    """Return the blocks that must work, because their pipeline was asked for by name.

    The pipeline of a method has others beside it: the one whose ticket it needs, and those that need its own.
    They are not required.

    Args:
        named: names of pipelines; the default requires nothing.
        pipelines: those that are registered.
    """
    required: set[str] = set()
    for name in set(named) - {DEFAULT}:
        blocks = {block for node in pipelines[name].nodes if (block := find_block(node)) is not None}
        required |= {name} & blocks or blocks
    return required


def choose_blocks(
    pipeline: "Pipeline",
    parameters: Mapping[str, Any],
    project: Path,
    counts: Counts | None = None,
    *,
    required: Collection[str],
) -> tuple[list[str], dict[str, LeftOut]]:
    """Ask every block of a run whether it can work, and choose what the run does without.

    Args:
        pipeline: what is to run.
        parameters: typed groups.
        project: folder where relative paths start.
        counts: of the images, if they are known.
        required: blocks that the run must not do without.

    Returns:
        A sentence for each fault that ends the run: a bad parameter, a required block that cannot work, or no
        method left. And what is left out, by block.
    """
    wanted = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}
    checked = parameters["sanity_checks"].methods if "sanity_checks" in wanted else ()
    faults, unfit = _ask_blocks(wanted, checked, parameters, project, counts)
    unfit |= dict.fromkeys(parameters.get("left_out", ()), "parameter left_out names it")
    present = {block for node in pipeline.nodes if (block := find_block(node)) is not None}
    reasons = {name: LeftOut(name, reason) for name, reason in unfit.items() if name in present}
    left_out = spread_reasons(pipeline, reasons, parameters)
    methods = present & {*METHODS, *COMPOSITIONS}
    fatal = left_out.keys() & required or (methods if methods <= left_out.keys() else set())
    faults += [word_fault(name, left_out[name].reason) for name in fatal]
    # The sanity checks search by methods that may be no blocks of the run.
    faults += [word_fault(name, unfit[name]) for name in unfit.keys() & set(checked) - fatal]
    return sorted(faults), left_out


def word_fault(name: str, fault: str) -> str:
    """Make a sentence about a parameter.

    Args:
        name: of the parameter or its group.
        fault: what is wrong; it may begin with the full name of the parameter.
    """
    sentence = fault.rstrip(".!")
    place = sentence if sentence.startswith(f"{name}.") else f"{name}: {sentence}"
    return f"Parameter {place}{'' if place.endswith('?') else '.'}"


def _ask_blocks(
    wanted: set[str],
    checked: Collection[str],
    parameters: Mapping[str, Any],
    project: Path,
    counts: Counts | None,
) -> tuple[list[str], dict[str, str]]:
    """Return the faults of parameters, and why blocks cannot work here whatever their options."""
    faults: list[str] = []
    unfit: dict[str, str] = {}
    for name, ask in _list_questions(wanted, checked, parameters, project, counts):
        # Here, so that a run that asks nothing, such as a report, does not load torch.
        from lottery_pipeline.search.trial import UnfitError

        try:
            ask()
        except UnfitError as error:
            unfit[name] = str(error).rstrip(".")
        except ValueError as error:
            faults.append(word_fault(name, str(error)))
    task = parameters["data"].task
    if task != "classification":
        reason = f"needs images with classes, but data.task is {task}; choose classification"
        unfit |= {name: reason for name in NEED_CLASSES if name in wanted}
    return faults, unfit


def _list_questions(
    wanted: set[str],
    checked: Collection[str],
    parameters: Mapping[str, Any],
    project: Path,
    counts: Counts | None,
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what is tried with the network of the run, by the group of parameters that asks for it."""
    methods = [
        name for name in (*METHODS, *COMPOSITIONS) if f"{name}.extraction" in wanted or name in checked
    ]
    others = [name for name in ("ownership_attacks", *ATTACKED) if name in wanted]
    if "model" not in wanted or not (methods or others):
        return
    outlook = look_ahead(parameters, project, counts)
    for name in methods:
        yield name, partial(check_method, name, parameters, outlook)
    for name in others:
        check = check_chosen_attacks if name == "ownership_attacks" else partial(check_gradients, name)
        yield name, partial(check, parameters, outlook)
