"""The checks before the first node: what a run needs is there, and what it asks for can be done.

Each is cheap; a run that would fail after an hour of training is refused in a second, in one sentence.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.hooks.block_checks import choose_blocks, find_required, word_fault
from lottery_pipeline.hooks.image_checks import RECIPES, Counts, check_recipe, count_images
from lottery_pipeline.hooks.ownership_checks import check_triggers, list_unsignable
from lottery_pipeline.hooks.robustness_checks import check_robustness
from lottery_pipeline.hooks.search_checks import check_model, find_theta_0
from lottery_pipeline.hooks.study_checks import check_arms, check_transfer
from lottery_pipeline.options.extras import check_extra
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.parameters import ParametersError
from lottery_pipeline.reproducibility.sums import ChangedFileError

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline


def check_run(
    pipeline: "Pipeline",
    catalog: "CatalogProtocol",
    parameters: Mapping[str, Any],
    *,
    pipelines: "Mapping[str, Pipeline]",
    project: Path,
    named: Collection[str] = (),
    options: str = "",
    load_versions: Mapping[str, str] | None = None,
) -> dict[str, LeftOut]:
    """Check a run before its first node.

    Args:
        pipeline: what to run.
        catalog: where inputs are looked for.
        parameters: typed groups, as ``check_parameters`` returns them.
        pipelines: all registered pipelines, to say which one makes a missing file.
        project: project folder, where relative paths start.
        named: pipelines that were asked for by name.
        load_versions: versions to be read, by dataset.
        options: command line options that belong to this run, such as `` --env test``.

    Returns:
        What cannot work with this network or these images, and so is left out, by block. What was asked for
        by name is never among it.

    Raises:
        ParametersError: one sentence for each thing that is missing or cannot be done.
    """
    wanted = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}
    if "dense_run" not in pipeline.all_outputs():
        # The stored one has theta_0 in it; the file that this came from need not be there any more.
        model = parameters["model"].model_copy(update={"weights": None})
        parameters = {**parameters, "model": model}
    counts, impossible = _count(wanted, parameters, project)
    impossible += _impossible(wanted, parameters, project, counts)
    changed = list(_changed_files(pipeline, catalog))  # first: the others ask whether there are such files
    faults = [
        *_shared_and_made(pipeline, parameters),
        *_missing_versions(load_versions or {}, catalog),
        *_made_twice(pipeline, catalog),
        *(
            changed
            or list(_made_too_late(pipeline, catalog))
            or _missing_files(pipeline, catalog, pipelines, options)
        ),
        *impossible,
    ]
    if "sparse_retraining" in wanted:
        faults += _missing_ladder(parameters["sparse_retraining"].rung, catalog)
    if "ticket_to_sign" in pipeline.inputs() and not impossible and not changed:
        ticket = catalog.get("ticket_to_sign")
        stored = ticket.stored_path() if isinstance(ticket, LocalFileDataset) and ticket.exists() else None
        faults += list_unsignable(parameters, stored, project, counts)
    faults += _missing_named(pipeline.inputs(), parameters, project)
    left_out: dict[str, LeftOut] = {}
    # Of a network that does not exist, nothing can be asked.
    if not impossible and not changed:
        required = find_required(named, pipelines)
        refused, left_out = choose_blocks(pipeline, parameters, project, counts, required=required)
        faults += refused
    if faults:
        raise ParametersError("\n".join(faults))
    return left_out


def _missing_versions(asked: Mapping[str, str], catalog: "CatalogProtocol") -> Iterator[str]:
    """Yield versions that are asked for and not there."""
    for name, version in asked.items():
        dataset = catalog.get(name)
        if not isinstance(dataset, LocalFileDataset) or not dataset.is_versioned:
            yield f"--load-versions asks for version {version} of {name}, which has no versions."
        elif version not in (there := sorted(dataset.list_versions(full_path=False))):
            found = f"those in {dataset.path} are {', '.join(there)}" if there else f"{dataset.path} has none"
            yield f"--load-versions asks for version {version} of {name}, which is not there; {found}."


def _shared_and_made(pipeline: "Pipeline", parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a run cannot make what it is to read of another variant, where others may be reading it."""
    made = pipeline.all_outputs() & {"images", "dense_run"}
    if "shared" in parameters and made:
        yield (
            f"Parameter shared is {parameters['shared']!r}, so the run reads images and dense run of that "
            f"variant, but it would also make {' and '.join(sorted(made))}; leave out the parameter or the "
            "nodes."
        )


def _made_twice(pipeline: "Pipeline", catalog: "CatalogProtocol") -> Iterator[str]:
    """Yield files that two parts of the run would write, such as the report of a run and of a sweep."""
    names: dict[Path, list[str]] = {}
    for name in sorted(pipeline.all_outputs()):
        for path in _paths([name], catalog):
            names.setdefault(path, []).append(name)
    for path, makers in names.items():
        if len(makers) > 1:
            yield f"{' and '.join(makers)} are the same file, {path}; run their pipelines in two variants."


def _made_too_late(pipeline: "Pipeline", catalog: "CatalogProtocol") -> Iterator[str]:
    """Yield files that the run makes under one name and reads under another: it would read the old ones."""
    made = {path: name for name in sorted(pipeline.all_outputs()) for path in _paths([name], catalog)}
    for name in sorted(pipeline.inputs()):
        for path in _paths([name], catalog) & made.keys():
            yield (
                f"{name} is the file that this run makes as {made[path]}, but it would be read as it was "
                "before; run the two pipelines one after the other."
            )


def _missing_files(
    pipeline: "Pipeline", catalog: "CatalogProtocol", pipelines: "Mapping[str, Pipeline]", options: str
) -> Iterator[str]:
    missing: dict[Path, str] = {}
    for name in sorted(pipeline.inputs()):
        dataset = catalog.get(name)
        if isinstance(dataset, LocalFileDataset) and not dataset.missing_ok and not dataset.exists():
            if dataset.made_by:
                yield f"Needed: {name}; {dataset.path} is missing, and {dataset.made_by}."
            else:
                missing[dataset.path] = name
    # The smallest pipeline that makes all of them, or else the smallest for each.
    makers = {
        registered: (_output_paths(maker, catalog) & missing.keys(), len(maker.nodes))
        for registered, maker in pipelines.items()
    }
    together = [set(missing)] if any(made == missing.keys() for made, _ in makers.values()) else []
    for paths in together or [{path} for path in missing]:
        able = [(size, registered) for registered, (made, size) in makers.items() if paths and paths <= made]
        command = f"`kedro run{options} --pipelines {min(able)[1]}`" if able else "no registered pipeline"
        if paths:
            path = min(paths)
            names = ", ".join(sorted(missing[path] for path in paths))
            others = f"{path} is" if len(paths) == 1 else f"{path} and {len(paths) - 1} more files are"
            made = "it" if len(paths) == 1 else "them"
            yield f"Needed: {names}; {others} missing, and {command} makes {made}."


def _changed_files(pipeline: "Pipeline", catalog: "CatalogProtocol") -> Iterator[str]:
    for name in sorted(pipeline.inputs()):
        dataset = catalog.get(name)
        if isinstance(dataset, LocalFileDataset):
            try:
                dataset.check()
            except ChangedFileError as error:
                yield f"{error}."


def _output_paths(pipeline: "Pipeline", catalog: "CatalogProtocol") -> set[Path]:
    return _paths(pipeline.all_outputs(), catalog)


def _paths(names: Iterable[str], catalog: "CatalogProtocol") -> set[Path]:
    datasets = [catalog.get(name) for name in names if name in catalog]
    return {dataset.path for dataset in datasets if isinstance(dataset, LocalFileDataset)}


def _missing_named(inputs: set[str], parameters: Mapping[str, Any], project: Path) -> Iterator[str]:
    """Yield files that the command line names: a run does not do without what it was told to take."""
    for name in ("disclosure", "predictions"):
        if name in inputs and name in parameters and not (path := project / parameters[name]).is_file():
            yield f"Parameter {name}: there is no file {path}."
    if "params:ownership_verification" in inputs:
        for root in parameters["ownership_verification"].resolve(project).roots:
            if not root.is_file():
                yield f"Parameter ownership_verification.roots: there is no file {root}."


def _missing_ladder(rung: int | None, catalog: "CatalogProtocol") -> Iterator[str]:
    ladder = catalog.get("selected_ladder")
    if rung is not None and isinstance(ladder, LocalFileDataset) and not ladder.exists():
        yield f"Parameter sparse_retraining.rung is {rung}, but there is no ladder {ladder.path}."


def _count(wanted: set[str], parameters: Mapping[str, Any], project: Path) -> tuple[Counts | None, list[str]]:
    """Return what can be known of the images by now, and what is wrong with them."""
    if "data" not in wanted:
        return None, []
    try:
        return count_images(parameters, project), []
    except ValueError as error:
        return None, [_word("data", error)]


def _impossible(
    wanted: set[str], parameters: Mapping[str, Any], project: Path, counts: Counts | None
) -> Iterator[str]:
    """Yield what the core itself refuses, in its own words."""
    if "device" in wanted:
        yield from _refusal("device", lambda: _check_device(parameters["device"]))
    if "data" in wanted:
        for name in [name for name in RECIPES if name in wanted]:
            faults = list(_refusal(name, partial(check_recipe, name, parameters, counts)))
            yield from faults
            if faults:  # the other recipes are changes to the first
                break
        if "signature_embedding" in wanted:
            yield from _refusal("signature_embedding", partial(check_triggers, parameters, counts))
    if "costs" in wanted and parameters["costs"].tracker == "codecarbon":
        yield from _refusal("costs.tracker", partial(check_extra, "codecarbon", "carbon"))
    refused: list[str] = []
    if "model" in wanted:
        refused = list(_refusal("model", partial(check_model, parameters, project, counts)))
        refused = refused or list(
            _refusal("model.weights", partial(find_theta_0, parameters, project, counts))
        )
    yield from refused
    if "supertickets_study" in wanted and not refused:
        yield from _refusal("supertickets_study", partial(check_arms, parameters))
    if "supertickets_transfer" in wanted and not refused:
        yield from _refusal("supertickets_transfer", partial(check_transfer, parameters, project, counts))
    if "robustness_evaluation" in wanted:
        yield from _refusal("robustness_evaluation", partial(check_robustness, parameters, project, counts))


def _refusal(name: str, check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except ValueError as error:
        yield _word(name, error)


def _word(name: str, error: ValueError) -> str:
    return word_fault(
        name, describe_file_fault(None, error) if isinstance(error, ValidationError) else str(error)
    )


def _check_device(name: str) -> None:
    from lottery_pipeline.training.device import pick_device

    pick_device(name)
