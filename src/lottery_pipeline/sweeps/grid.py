"""From a grid to its points: which pipelines, in which experiment, with which parameters."""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.sweeps.request import MOST_POINTS, SweepError, SweepRequest

EXTRACTION = "extraction."
OPTIONS = {name: method.options for name, method in METHODS.items()} | {
    name: method.options for name, (_, method) in COMPOSITIONS.items()
}


@dataclass(frozen=True)
class Place:
    """A point of a grid before anything is known of its cost and its parents.

    Attributes:
        axes: where it is in the grid, by axis: ``density`` for ``extraction.density``.
        experiment: what ``--env`` names.
        pipelines: what it runs.
        parameters: its ``--params``, by full name.
    """

    axes: dict[str, Any]
    experiment: str
    pipelines: tuple[str, ...]
    parameters: dict[str, Any]

    @property
    def key(self) -> str:
        """A readable name, unique among all that differ in experiment, pipelines or parameters."""
        words = [_shorten(axis, value) for axis, value in self.axes.items()]
        readable = re.sub(r"[^A-Za-z0-9._=-]+", "_", "-".join(words))[:_LONGEST_READABLE].strip("-._=")
        return f"{readable or 'point'}-{self.digest[:8]}"

    @property
    def digest(self) -> str:
        """A SHA-256 of what the point is asked for."""
        return fingerprint(
            {
                "experiment": self.experiment,
                "pipelines": list(self.pipelines),
                "parameters": self.parameters,
            }
        )


_LONGEST_READABLE = 44
_OWN = ("variant", "shared")
_LETTERS = {"pipelines": "", "density": "d", "seed": "s", "experiment": ""}


def expand(request: SweepRequest, experiment: str, blocks: Mapping[str, Sequence[str]]) -> list[Place]:
    """Return the points of a request, each once, in the order of its grids.

    Args:
        request: grids and common parameters.
        experiment: of points whose grid has no axis ``experiment``.
        blocks: methods and compositions in each registered pipeline.

    Raises:
        SweepError: a pipeline or an axis does not exist, an option belongs to no method of the point, or
            there are more points than ``MOST_POINTS``.
    """
    count = sum(math.prod(len(_values(values)) for values in grid.values()) for grid in request.grid)
    if count > MOST_POINTS:
        raise SweepError(f"The grid has {count} points; at most {MOST_POINTS} are possible.")
    for axis in (*request.params, *(axis for grid in request.grid for axis in grid)):
        if axis.split(".")[0] in _OWN:
            raise SweepError(f"The sweep itself sets parameter {axis} of each point; leave it out.")
        if re.search(r"[^\w.]", axis):
            raise SweepError(f"{axis!r} is not the name of an axis; allowed are names such as seed.")
    places: dict[str, Place] = {}
    for grid in request.grid:
        for place in _expand(grid, request.params, experiment, blocks):
            places.setdefault(place.digest, place)
    return list(places.values())


def _expand(
    grid: Mapping[str, Any], params: Mapping[str, Any], experiment: str, blocks: Mapping[str, Sequence[str]]
) -> Iterator[Place]:
    lists = {axis: _values(values) for axis, values in grid.items()}
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        pipelines = _split(chosen.pop("pipelines"))
        for pipeline in pipelines:
            if pipeline not in blocks:
                raise SweepError(
                    f"There is no pipeline {pipeline!r}; `kedro registry list` shows those there are."
                )
        own = str(chosen.pop("experiment", experiment))
        methods = list(dict.fromkeys(method for pipeline in pipelines for method in blocks[pipeline]))
        axes: dict[str, Any] = {"pipelines": "+".join(pipelines)}
        axes |= {"experiment": own} if "experiment" in grid else {}
        parameters = dict(params)
        for axis, value in chosen.items():
            axes[axis.removeprefix(EXTRACTION)] = value if _is_scalar(value) else json.dumps(value)
            parameters |= _name(axis, value, methods, pipelines)
        yield Place(axes, own, pipelines, dict(sorted(parameters.items())))


def _name(axis: str, value: Any, methods: Sequence[str], pipelines: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that an axis sets."""
    if not axis.startswith(EXTRACTION):
        return {axis: value}
    option = axis.removeprefix(EXTRACTION)
    able = [name for name in methods if option.split(".")[0] in OPTIONS[name].model_fields]
    if not able:
        reason = f"{', '.join(methods)} has no option {option}" if methods else "it has no method"
        raise SweepError(
            f"Axis {axis} does not apply to pipeline {' '.join(pipelines)}: {reason}; "
            "give it a grid of its own without this axis."
        )
    return {f"{name}.extraction.{option}": value for name in able}


def _values(values: Any) -> Sequence[Any]:
    return values if isinstance(values, Sequence) and not isinstance(values, str) else [values]


def _split(pipelines: Any) -> tuple[str, ...]:
    names = pipelines if isinstance(pipelines, Sequence) and not isinstance(pipelines, str) else [pipelines]
    return tuple(word for name in names for word in re.split(r"[\s,+]+", str(name)) if word)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _shorten(axis: str, value: Any) -> str:
    written = value if isinstance(value, str) else json.dumps(value)
    return _LETTERS.get(axis, f"{axis.rpartition('.')[2]}=") + written
