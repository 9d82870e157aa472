"""The plan of a sweep: its points, what they share, and the file that says so."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline import __version__
from lottery_pipeline.reproducibility.files import stat_regular, write_atomically
from lottery_pipeline.sweeps.costs import plan_epochs
from lottery_pipeline.sweeps.experiments import BASE, SHARED_PIPELINE, Experiment
from lottery_pipeline.sweeps.grid import OPTIONS, Place, expand
from lottery_pipeline.sweeps.markers import DONE, read_marker
from lottery_pipeline.sweeps.request import LONGEST_NAME, SweepError, SweepRequest

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

FORMAT = 1
PLAN = "sweep.json"
_LARGEST = 2**28  # bytes of a plan


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        key: its name in the sweep.
        experiment: what ``--env`` names.
        variant: where its results lie.
        pipelines: what it runs.
        axes: its place in the grid.
        parameters: its ``--params``, by full name.
        fingerprint: of all parameters that its pipelines read.
        shared: variant whose images and dense run it reads; empty if it makes its own.
        parent: fingerprint of the point that makes those.
        nodes: that it runs; None for all of its pipelines.
        epochs: planned cost in epochs-equivalents, ``search`` and ``train``; None where nobody knows.
    """

    key: str
    experiment: str
    variant: str
    pipelines: tuple[str, ...]
    axes: Mapping[str, Any]
    parameters: Mapping[str, Any]
    fingerprint: str
    shared: str = ""
    parent: str = ""
    nodes: tuple[str, ...] | None = None
    epochs: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All points of a sweep.

    Attributes:
        sweep: its name, which is the variant of its report.
        experiment: where the report lies.
        title: of the report.
        points: what was asked for.
        shared: the points that make images and dense runs for them.
        data_root: folder of all results.
    """

    sweep: str
    experiment: str
    title: str
    points: tuple[Point, ...]
    shared: tuple[Point, ...]
    data_root: Path

    @property
    def path(self) -> Path:
        """The file of the plan."""
        return self.folder_of(self.experiment, self.sweep) / PLAN

    def folder_of(self, experiment: str, variant: str) -> Path:
        """Return where the records of a variant lie."""
        return self.data_root / "07_model_output" / experiment / variant

    def find_marker(self, point: Point) -> dict[str, Any] | None:
        """Return what a point has left; see ``read_marker``."""
        return read_marker(self.folder_of(point.experiment, point.variant), point.fingerprint)

    def list_missing(self) -> list[Point]:
        """Return the points that are not done, shared ones first."""
        points = (*self.shared, *self.points)
        return [point for point in points if (self.find_marker(point) or {}).get("state") != DONE]

    def save(self, *, tracking: str, run: str) -> None:
        """Write the file of the plan, which the report reads.

        Args:
            tracking: ``each``, ``parent`` or ``off``.
            run: the sweep's run in MLflow, or empty.
        """
        keys = ("key", "experiment", "variant", "pipelines", "axes", "parameters", "shared", "fingerprint")
        content = {
            "format": FORMAT,
            "sweep": self.sweep,
            "experiment": self.experiment,
            "title": self.title,
            "version": __version__,
            "tracking": tracking,
            "run": run,
            "points": [
                {key: getattr(point, key) for key in keys} | {"epochs": dict(point.epochs)}
                for point in self.points
            ],
        }
        write_atomically(self.path, json.dumps(content, allow_nan=False).encode())

    def find_run(self) -> str:
        """Return the MLflow run that an earlier start of this sweep has opened; empty if there is none."""
        return self._read_saved("run")

    def find_tracking(self) -> str:
        """Return how an earlier start of this sweep was tracked; empty if there is none."""
        return self._read_saved("tracking")

    def _read_saved(self, key: str) -> str:
        try:
            if stat_regular(self.path).st_size > _LARGEST:
                return ""
            return str(json.loads(self.path.read_bytes()).get(key, ""))
        except (OSError, ValueError, AttributeError):
            return ""


class Planner:
    """Makes plans of one project.

    Attributes:
        project: its folder.
        pipelines: the registered ones.
    """

    def __init__(self, project: Path, pipelines: "Mapping[str, Pipeline]") -> None:
        self.project, self.pipelines = project, pipelines
        self._experiments: dict[str, Experiment] = {}

    def experiment(self, name: str) -> Experiment:
        """Return an experiment, which is read once.

        Raises:
            SweepError: there is none of this name.
        """
        if name not in self._experiments:
            self._experiments[name] = Experiment(name, self.project, self.pipelines)
        return self._experiments[name]

    def plan(self, name: str, request: SweepRequest, experiment: str = BASE) -> Plan:
        """Lay out a sweep and check every point of it.

        Args:
            name: of the sweep.
            request: its grid.
            experiment: where its report lies, and that of points which name none.

        Raises:
            SweepError: one sentence for each fault.
        """
        if len(name) > LONGEST_NAME:
            raise SweepError(f"The name of the sweep, {name!r}, is longer than {LONGEST_NAME} characters.")
        own = self.experiment(experiment)
        own.check({"variant": name})
        places = expand(request, experiment, {key: self._list_methods(key) for key in self.pipelines})
        shared: dict[str, Point] = {}
        points = [self._make_point(name, place, shared) for place in places]
        return Plan(name, experiment, request.title, tuple(points), tuple(shared.values()), own.data_root)

    def _list_methods(self, pipeline: str) -> Sequence[str]:
        if pipeline in OPTIONS:
            return [pipeline]
        spaces = {(node.namespace or "").split(".")[0] for node in self.pipelines[pipeline].nodes}
        return [name for name in OPTIONS if name in spaces]

    def _make_point(self, sweep: str, place: Place, shared: dict[str, Point]) -> Point:
        experiment = self.experiment(place.experiment)
        parameters = experiment.check(place.parameters)
        point = Point(
            key=place.key,
            experiment=place.experiment,
            variant=f"{sweep}.{place.key}",
            pipelines=place.pipelines,
            axes=place.axes,
            parameters=place.parameters,
            fingerprint=experiment.identify(place.pipelines, parameters),
            epochs=plan_epochs(self._list_methods_of(place), parameters),
        )
        if not experiment.shares(place.pipelines):
            return point
        parent = self._share(sweep, place, parameters, shared)
        nodes = tuple(experiment.list_nodes(place.pipelines))
        return replace(point, shared=parent.variant, parent=parent.fingerprint, nodes=nodes)

    def _list_methods_of(self, place: Place) -> list[str]:
        return [method for pipeline in place.pipelines for method in self._list_methods(pipeline)]

    def _share(
        self, sweep: str, place: Place, parameters: Mapping[str, Any], shared: dict[str, Point]
    ) -> Point:
        """Return the point that makes images and dense run of a place; places that need the same share it."""
        experiment = self.experiment(place.experiment)
        identity = experiment.identify([SHARED_PIPELINE], parameters)
        if identity not in shared:
            groups = {name.split(".")[0] for name in experiment.read_by([SHARED_PIPELINE])}
            own = {name: value for name, value in place.parameters.items() if name.split(".")[0] in groups}
            seed = parameters["seed"]
            key = f"shared-s{seed}-{identity[:8]}"
            shared[identity] = Point(
                key=key,
                experiment=place.experiment,
                variant=f"{sweep}.{key}",
                pipelines=(SHARED_PIPELINE,),
                axes={"pipelines": SHARED_PIPELINE, "seed": seed},
                parameters=own,
                fingerprint=identity,
                epochs={"search": 0.0, "train": parameters["pretraining"]["epochs"]},
            )
        return shared[identity]
