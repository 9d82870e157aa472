"""The experiments of a sweep: their parameters, and what the registered pipelines read and make of them."""

import copy
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import MissingConfigException

from lottery_pipeline import __version__
from lottery_pipeline.options import METHODS
from lottery_pipeline.parameter_names import check_names
from lottery_pipeline.parameters import ParametersError, check_parameters, to_plain
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.sweeps.request import SweepError
from lottery_pipeline.tracking.store import TrackingSettings

if TYPE_CHECKING:
    from kedro.pipeline import Node, Pipeline

BASE = "base"
# What decides where a result lies and not what it is.
PLACES = ("work", "tracking")
SHARED_STAGES = ("data_preparation", "dense_pretraining")
SHARED_PIPELINE = "dense_pretraining"


class Experiment:
    """The configuration of one experiment, read once for all points.

    Args:
        name: what ``--env`` names; ``base`` is none.
        project: folder of the project.
        pipelines: the registered ones.

    Raises:
        SweepError: there is no such experiment.
    """

    def __init__(self, name: str, project: Path, pipelines: "Mapping[str, Pipeline]") -> None:
        from kedro.framework.project import settings

        self.name, self._project, self._pipelines = name, project, pipelines
        source = project / settings.CONF_SOURCE
        try:
            loader = settings.CONFIG_LOADER_CLASS(
                str(source), None if name == BASE else name, **settings.CONFIG_LOADER_ARGS
            )
            self._parameters = dict(loader["parameters"])
            self.data_root = project / str(loader["globals"].get("data_root", "data"))
        except MissingConfigException as error:
            raise SweepError(f"There is no experiment {name!r}: {error}") from error
        self._loader = loader
        self._names: dict[str, tuple[str, ...]] = {}
        self._checked: dict[str, dict[str, Any]] = {}
        # Groups as the configuration has them, typed and as plain values.
        self._typed: dict[str, Any] = {}
        self._plain: dict[str, Any] = {}

    @cached_property
    def sweeps(self) -> dict[str, Any]:
        """What ``sweep.yml`` names."""
        try:
            return dict(self._loader["sweep"])
        except MissingConfigException:
            return {}

    @cached_property
    def tracking(self) -> TrackingSettings:
        """What ``mlflow.yml`` says."""
        try:
            return TrackingSettings.read(self._loader["mlflow"])
        except MissingConfigException:
            return TrackingSettings(enabled=False)

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters of a point as plain values.

        Args:
            given: its own, by full name.

        Raises:
            SweepError: one sentence for each that does not exist or has a value that is not allowed.
        """
        known = json.dumps(given, sort_keys=True, default=str)
        if known not in self._checked:
            nested = nest(given)
            same = {name: typed for name, typed in self._typed.items() if name not in nested}
            try:
                check_names(nested)
                checked = check_parameters(_merge(self._parameters, nested), same)
            except ParametersError as error:
                raise SweepError(str(error)) from error
            plain = to_plain({name: typed for name, typed in checked.items() if name not in same})
            self._checked[known] = {name: self._plain[name] for name in same} | plain
            # Points change few groups, so the others are checked once.
            new = checked.keys() - nested.keys() - same.keys()
            self._typed |= {name: checked[name] for name in new}
            self._plain |= {name: plain[name] for name in new}
        return self._checked[known]

    def identify(self, pipelines: Iterable[str], parameters: Mapping[str, Any]) -> str:
        """Return the fingerprint of what pipelines make with parameters.

        Args:
            pipelines: their names.
            parameters: all, as ``check`` returns them.
        """
        pipelines = list(pipelines)
        read = {name: _find(parameters, name) for name in sorted(self.read_by(pipelines))}
        return fingerprint(
            {"version": __version__, "experiment": self.name, "pipelines": pipelines, "parameters": read}
        )

    def read_by(self, pipelines: Iterable[str]) -> set[str]:
        """Return the full names of the parameters that pipelines read, places aside."""
        return {name for pipeline in pipelines for name in self._list_names(pipeline)}

    def shares(self, pipelines: Iterable[str]) -> bool:
        """Whether pipelines begin with images and a dense run that other points may have in common."""
        return all("dense_run" in self._pipelines[name].all_outputs() for name in pipelines)

    def list_nodes(self, pipelines: Iterable[str]) -> list[str]:
        """Return the nodes of a point.

        Args:
            pipelines: what it runs.

        Returns:
            Their names, without those that make images and dense run, and without the methods that the
            pipeline of a method runs after it because they match its ticket.
        """
        nodes = {
            node.name: None
            for name in pipelines
            for node in self._pipelines[name].nodes
            if not node.tags & {*SHARED_STAGES} and not _follows(node, name)
        }
        return list(nodes)

    def _list_names(self, pipeline: str) -> tuple[str, ...]:
        if pipeline not in self._names:
            inputs = [name for name in self._pipelines[pipeline].inputs() if name.startswith("params:")]
            names = [name.removeprefix("params:") for name in inputs]
            self._names[pipeline] = tuple(name for name in names if name.split(".")[0] not in PLACES)
        return self._names[pipeline]


def nest(given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``{"ltr.extraction.density": 0.1}`` into nested groups."""
    nested: dict[str, Any] = {}
    for name, value in given.items():
        *groups, last = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        if isinstance(value, Mapping) and isinstance(place.get(last), dict):
            place[last] = _merge(place[last], value)
        else:
            place[last] = copy.deepcopy(value)
    return nested


def _follows(node: "Node", pipeline: str) -> bool:
    method = METHODS.get((node.namespace or "").split(".")[0])
    return method is not None and method.match == pipeline


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as Kedro merges ``--params``: keys that are not given keep their values."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _find(parameters: Mapping[str, Any], name: str) -> Any:
    value: Any = parameters
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
