"""The checks before the first node: what a run needs is there, and what it asks for can be done.

Each is cheap; a run that would fail after an hour of training is refused in a second, in one sentence.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.options import FilterOptions, LayerOptions
from lottery_pipeline.parameters import (
    COMPOSED_GROUPS,
    METHOD_GROUPS,
    DataParameters,
    ImpParameters,
    ModelParameters,
    ParametersError,
)

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from torch import nn

_STANDING_IN = (3, 32, 32)  # channels, height and width of images that nobody has read yet


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
        pipeline: what is to be run.
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
        *_missing_files(pipeline, catalog, pipelines, options),
        *_impossible(wanted, parameters, project),
    ]
    if "sparse_retraining" in wanted:
        faults += _missing_ladder(parameters["sparse_retraining"].rung, catalog)
    if faults:
        raise ParametersError("\n".join(faults))


def resolve_root(data: DataParameters, project: Path) -> DataParameters:
    """Let a relative ``data.root`` start at the project folder, whatever folder the command is given in."""
    if data.root is None:
        return data
    return data.model_copy(update={"root": str(project / Path(data.root).expanduser())})


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
    datasets = [catalog.get(name) for name in pipeline.all_outputs() if name in catalog]
    return {dataset.path for dataset in datasets if isinstance(dataset, LocalFileDataset)}


def _missing_ladder(rung: int | None, catalog: "CatalogProtocol") -> Iterator[str]:
    ladder = catalog.get("selected_ladder")
    if rung is not None and isinstance(ladder, LocalFileDataset) and not ladder.exists():
        yield f"Parameter sparse_retraining.rung is {rung}, but there is no ladder {ladder.path}."


def _impossible(wanted: set[str], parameters: Mapping[str, Any], project: Path) -> Iterator[str]:
    """Yield what the core itself refuses, in its own words."""
    if "device" in wanted:
        yield from _refusal("device", lambda: _check_device(parameters["device"]))
    if "data" in wanted:
        yield from _refusal("data", lambda: _check_images(resolve_root(parameters["data"], project)))
    if "costs" in wanted and parameters["costs"].tracker == "codecarbon":
        yield from _refusal("costs.tracker", partial(_check_extra, "codecarbon", "carbon"))
    if "model" in wanted:
        faults = list(_refusal("model", lambda: _check_model(parameters["model"])))
        yield from faults
        checked = parameters["sanity_checks"].methods if "sanity_checks" in wanted else ()
        for name in (*METHOD_GROUPS, *COMPOSED_GROUPS):
            if not faults and (f"{name}.extraction" in wanted or name in checked):
                yield from _refusal(name, partial(_check_method, parameters["model"], parameters[name]))


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


def _check_model(model: ModelParameters) -> None:
    from lottery_pipeline.models.registry import ensure_buildable

    ensure_buildable(model.name)
    _prunable_shapes(model)


def _check_method(model: ModelParameters, method: Any) -> None:
    from lottery_pipeline.methods.imp.rungs import plan_rungs
    from lottery_pipeline.sparsity.allocation import allocate_smart_ratio, kept_count

    if isinstance(method.extraction, LayerOptions):
        _check_layer(model, method.extraction)
        return
    if isinstance(method.extraction, FilterOptions):
        if method.extraction.scope == "all":
            _check_extra("torch_pruning", "compact")
        return
    shapes = _prunable_shapes(model)
    if shapes is None:
        return
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    if not isinstance(method, ImpParameters):
        kept = kept_count(method.extraction.density, sum(sizes.values()))
        if getattr(method.extraction, "allocation", None) == "smart_ratio":
            allocate_smart_ratio(shapes, kept, vgg="vgg" in model.name)
        return
    last = len(plan_rungs(method.extraction, sizes))
    for rung in method.controls.rungs if method.controls.kinds else ():
        if rung > last:
            raise ValueError(
                f"controls.rungs has {rung}, but this search has rungs 0 to {last} (-1 is the last)"
            )


def _check_extra(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise ValueError(f'this needs the extra "{extra}": pip install "lottery_pipeline[{extra}]"')


def _check_layer(model: ModelParameters, options: LayerOptions) -> None:
    from lottery_pipeline.methods.layer.selection import plan_removal
    from lottery_pipeline.models.names import ModelError

    network = _draw_network(model)
    if network is None:
        return
    try:
        plan_removal(network, options, _STANDING_IN)
    except ModelError as error:
        raise ValueError(f"{error}; or set layer.extraction.removed to 0, which leaves it whole") from error


def _prunable_shapes(model: ModelParameters) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of the prunable weights of a built-in, without allocating it."""
    from lottery_pipeline.models.prunable import prunable_parameters

    network = _draw_network(model)
    if network is None:
        return None
    weights = prunable_parameters(network, model.ignore_layers)
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def _draw_network(model: ModelParameters) -> "nn.Module | None":
    """Build a built-in on the meta device; nothing for other networks, whose images may have to fit.

    The images are not known yet, so ten classes and 32 x 32 pixels stand for them: names of layers do not
    depend on that, and the number of weights hardly.
    """
    from lottery_pipeline.models.names import BUILT_IN_MODELS
    from lottery_pipeline.models.registry import build_model
    from lottery_pipeline.models.spec import ModelSpec

    if model.name not in BUILT_IN_MODELS:
        return None
    spec = ModelSpec(
        name=model.name,
        num_classes=10,
        channels=_STANDING_IN[0],
        image_size=_STANDING_IN[1:],
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )
    return build_model(spec, seed=0, device="meta")
