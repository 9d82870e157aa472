"""The checks before the first node: what a run needs is there, and what it asks for can be done.

Each is cheap; a run that would fail after an hour of training is refused in a second, in one sentence.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.images.request import SOURCES
from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.options.extras import check_extra
from lottery_pipeline.parameters import (
    DataParameters,
    ModelParameters,
    ParametersError,
)

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from lottery_pipeline.models.spec import ModelSpec

_STANDING_IN = (3, 32, 32)  # channels, height and width of images not read yet


def check_run(
    pipeline: "Pipeline",
    catalog: "CatalogProtocol",
    parameters: Mapping[str, Any],
    *,
    pipelines: "Mapping[str, Pipeline]",
    project: Path,
    options: str = "",
) -> None:
    """Check a run before its first node.

    Args:
        pipeline: what to run.
        catalog: where inputs are looked for.
        parameters: typed groups, as ``check_parameters`` returns them.
        pipelines: all registered pipelines, to say which one makes a missing file.
        project: project folder, where relative paths start.
        options: command line options that belong to this run, such as `` --env test``.

    Raises:
        ParametersError: one sentence for each thing that is missing or cannot be done.
    """
    wanted = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}
    faults = [
        *(list(_made_too_late(pipeline, catalog)) or _missing_files(pipeline, catalog, pipelines, options)),
        *_impossible(wanted, parameters, project),
    ]
    if "sparse_retraining" in wanted:
        faults += _missing_ladder(parameters["sparse_retraining"].rung, catalog)
    if "ticket_to_sign" in pipeline.inputs():
        faults += _unsignable(parameters.get("ticket", "cts"))
    faults += _missing_named(pipeline.inputs(), parameters, project)
    if faults:
        raise ParametersError("\n".join(faults))


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


def _unsignable(name: str) -> Iterator[str]:
    method = METHODS.get(name)
    if method is not None and not method.has_density:
        yield (
            f"Parameter ticket is {name!r}, which keeps every weight of a smaller network and so has no room "
            f"for a mark; sign a ticket within it, such as layer_cts."
        )


def _missing_ladder(rung: int | None, catalog: "CatalogProtocol") -> Iterator[str]:
    ladder = catalog.get("selected_ladder")
    if rung is not None and isinstance(ladder, LocalFileDataset) and not ladder.exists():
        yield f"Parameter sparse_retraining.rung is {rung}, but there is no ladder {ladder.path}."


def _impossible(wanted: set[str], parameters: Mapping[str, Any], project: Path) -> Iterator[str]:
    """Yield what the core itself refuses, in its own words."""
    if "device" in wanted:
        yield from _refusal("device", lambda: _check_device(parameters["device"]))
    if "data" in wanted:
        yield from _refusal("data", lambda: _check_images(parameters["data"].resolve(project)))
    if "costs" in wanted and parameters["costs"].tracker == "codecarbon":
        yield from _refusal("costs.tracker", partial(check_extra, "codecarbon", "carbon"))
    if "model" in wanted:
        model, data = parameters["model"].resolve(project), parameters["data"]
        faults = list(_refusal("model", lambda: _check_model(model, data)))
        yield from faults
        checked = parameters["sanity_checks"].methods if "sanity_checks" in wanted else ()
        for name in (*METHODS, *COMPOSITIONS):
            if not faults and (f"{name}.extraction" in wanted or name in checked):
                yield from _refusal(name, partial(_check_method, name, model, data, parameters[name]))
    for name in ("sanity_checks", "signature_embedding", "ownership_attacks"):
        if name in wanted and parameters["data"].task != "classification":
            yield (
                f"Parameter data.task is {parameters['data'].task}, but {name} needs images with classes; "
                "choose classification."
            )
    for name, check in (("supertickets_study", _check_arms), ("supertickets_transfer", _check_transfer)):
        if name in wanted:
            yield from _refusal(name, partial(check, parameters))


def _refusal(name: str, check: Callable[[], None]) -> Iterator[str]:
    try:
        check()
    except ValueError as error:
        yield f"Parameter {name}: {str(error).rstrip('.')}."


def _check_device(name: str) -> None:
    from lottery_pipeline.training.device import pick_device

    pick_device(name)


def _check_images(request: DataParameters) -> None:
    from lottery_pipeline.images.sources import check_request

    check_request(request)


def _check_model(model: ModelParameters, data: DataParameters) -> None:
    from lottery_pipeline.models.choice import is_supernet
    from lottery_pipeline.models.registry import ensure_buildable

    if not is_supernet(model.name):
        ensure_buildable(model.name)
    _prunable_shapes(_stand_in_spec(model, data))


def _check_method(name: str, model: ModelParameters, data: DataParameters, group: Any) -> None:
    """Ask the method itself whether its options can work on this network."""
    from lottery_pipeline.methods import CHECKS
    from lottery_pipeline.sparsity.allocation import kept_count

    method = COMPOSITIONS[name][1] if name in COMPOSITIONS else METHODS[name]
    if data.task != "classification" and not method.any_task:
        able = ", ".join(other.name for other in METHODS.values() if other.any_task)
        raise ValueError(f"needs images with classes, but data.task is {data.task}, which {able} can do")
    spec, options = _stand_in_spec(model, data), group.extraction
    shapes = _prunable_shapes(spec)
    if method.has_density and options.density is not None and shapes is not None:
        kept_count(options.density, sum(math.prod(shape) for shape in shapes.values()))
    check = CHECKS.get(method.name)
    last = None if check is None else check(spec, options)
    if last is None or not hasattr(group, "controls"):
        return
    for rung in group.controls.rungs if group.controls.kinds else ():
        if rung > last:
            raise ValueError(
                f"controls.rungs has {rung}, but this search has rungs 0 to {last} (-1 is the last)"
            )


def _check_arms(parameters: Mapping[str, Any]) -> None:
    """Check that the intervals of every arm can work."""
    from lottery_pipeline.methods.supertickets.schedule import plan_events
    from lottery_pipeline.options.supertickets_study import ARMS

    extraction = parameters["supertickets"].extraction
    epochs = extraction.epochs or parameters["retraining"].recipe(parameters["pretraining"]).epochs
    for name in parameters["supertickets_study"].arms:
        options = ARMS[name].options(extraction)
        if epochs is not None:
            plan_events(options, epochs, 1 - options.density)


def _check_transfer(parameters: Mapping[str, Any]) -> None:
    """Check that there are labels for every task, and that one recipe and one density fit them all."""
    source, tasks = parameters["data"].source, parameters["supertickets_transfer"].tasks
    missing = [task for task in tasks if task not in SOURCES[source]]
    if missing:
        raise ValueError(
            f"tasks has {missing[0]}, but data.source {source} has labels for {', '.join(SOURCES[source])} "
            "only; canvases has labels for all three"
        )
    if parameters["supertickets"].extraction.density_of != "supernet":
        raise ValueError(
            "supertickets.extraction.density_of must be supernet, because the network of model.name differs "
            "between tasks"
        )
    recipe = parameters["retraining"].recipe(parameters["pretraining"])
    if "keypoints" in tasks and (recipe.flip or recipe.label_smoothing):
        fault = "flip" if recipe.flip else "label_smoothing"
        raise ValueError(f"tasks has keypoints, which the recipe's {fault} does not fit; switch it off")


def _prunable_shapes(spec: "ModelSpec | None") -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of the prunable weights of a built-in, without allocating it."""
    from lottery_pipeline.models.prunable import prunable_parameters
    from lottery_pipeline.models.registry import build_model

    if spec is None:
        return None
    weights = prunable_parameters(build_model(spec, seed=0, device="meta"), spec.ignore_layers)
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def _stand_in_spec(model: ModelParameters, data: DataParameters) -> "ModelSpec | None":
    """Specify a built-in before its images are known; None for other networks, whose images may have to fit.

    Ten classes and, if the size is not given, 32 x 32 pixels stand in for the images: layer names do not
    depend on them, and the number of weights hardly does.
    """
    from lottery_pipeline.models.choice import is_supernet, specify_model
    from lottery_pipeline.models.names import BUILT_IN_MODELS

    if model.name not in BUILT_IN_MODELS and not is_supernet(model.name):
        return None
    spec = specify_model(
        model.name,
        ignore_layers=model.ignore_layers,
        num_classes=10,
        channels=_STANDING_IN[0],
        image_size=_STANDING_IN[1:] if data.image_size is None else (data.image_size, data.image_size),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        task=data.task,
    )
    if spec.supernet is None or data.image_size is not None:
        return spec
    side = max(*spec.image_size, spec.supernet.stride)
    return spec.model_copy(update={"image_size": (side, side)})
