"""The hook that mirrors a run in MLflow. Results never depend on it.

It is not kedro-mlflow, which logs a typed group of parameters as one string, refuses a parallel runner, knows
no run within a run, and imports MLflow in every command.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.left_out import LeftOut, find_reason
from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.datasets.records import FigureDataset, FrameDataset, TextDataset
from lottery_pipeline.parameters import to_plain
from lottery_pipeline.tracking import current
from lottery_pipeline.tracking.results import find_parameters, select_parameters
from lottery_pipeline.tracking.store import TrackingSettings
from lottery_pipeline.tracking.sweep import find_own, find_parent

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


class TrackingHooks:
    """Mirrors the run, and each block that leaves a ``<block>.record`` as a run within it.

    How an output is mirrored follows from the type of its dataset; what a record holds is not mirrored twice.
    """

    def __init__(self) -> None:
        self._settings = TrackingSettings(enabled=False)
        self._project = Path()
        self._datasets: dict[str, LocalFileDataset] = {}
        self._parameters: dict[str, Any] = {}
        self._groups: dict[str, set[str]] = {}
        self._versions: dict[str, dict[str, str]] = {}
        self._mirrored: set[str] = set()

    @hook_impl
    def after_context_created(self, context: "KedroContext") -> None:
        """Read ``mlflow.yml``; MLflow itself is imported when a run starts."""
        self._project = context.project_path
        try:
            self._settings = TrackingSettings.read(context.config_loader["mlflow"])
        except MissingConfigException:
            self._settings = TrackingSettings(enabled=False)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: "Pipeline", catalog: "CatalogProtocol"
    ) -> None:
        """Open the MLflow run with its tags and parameters."""
        current().finish("KILLED")  # an interrupted run of this process, in a notebook for example
        if not self._settings.enabled:
            return
        found = {name: catalog.get(name) for name in pipeline.datasets()}
        self._datasets = {name: data for name, data in found.items() if isinstance(data, LocalFileDataset)}
        self._parameters = to_plain(catalog.load("parameters"))
        self._groups, self._versions, self._mirrored = find_parameters(pipeline), {}, set()
        names = sorted(run_params.get("pipeline_names") or ["__default__"])
        env, variant = run_params.get("env") or "base", self._parameters.get("variant", "base")
        current().start(
            self._settings,
            self._project,
            name=f"{env}/{variant} {' '.join(names)}",
            tags={
                "kedro.run_id": str(run_params.get("run_id") or run_params.get("session_id")),
                "kedro.pipelines": ",".join(names),
                "kedro.env": env,
                "experiment": env,
                "variant": str(variant),
                "seed": str(self._parameters.get("seed")),
                "mlflow.source.name": f"kedro run --pipelines {','.join(names)}",
            },
            parameters={} if find_own() else select_parameters(self._groups[""], self._parameters),
            within=find_parent(),
            opened=find_own(),
        )
        current().send("", "log_dict", self._parameters, "parameters.json")

    @hook_impl
    def before_node_run(self, node: "Node", inputs: dict[str, Any]) -> None:
        """Open the run of a block at its first node: a block that is never reached leaves none."""
        if "images" in inputs:
            current().note_images(inputs["images"])
        if find_reason(node.func, inputs.values()) is None:
            self._open_block(node)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Note which version of an input was read."""
        dataset = self._datasets.get(dataset_name)
        if current().active and dataset is not None and dataset.exists():
            self._note_version(dataset_name, "loaded", dataset.resolve_load_version())

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: "Node") -> None:
        """Mirror an output."""
        dataset = self._datasets.get(dataset_name)
        if isinstance(data, LeftOut):
            return
        if isinstance(dataset, (ImageSplitsDataset, DenseRunDataset)):
            current().note_made(dataset_name, data.fingerprint)
        if dataset is not None and data is not None:
            self._mirror(node, dataset_name, dataset, data)

    @hook_impl
    def after_pipeline_run(self, pipeline: "Pipeline") -> None:
        """Close the run; what the workers of a parallel runner saved is mirrored here.

        What is left out becomes a tag; if something failed, so has the run.
        """
        if not current().active:
            return
        left = [(node, name) for node in pipeline.nodes for name in node.outputs if name in self._datasets]
        left = [(node, name) for node, name in left if name not in self._mirrored]
        if left and "images" in self._datasets:
            current().note_images(self._datasets["images"].load())
        absent: dict[str, LeftOut] = {}
        for node, name in left:
            data = self._datasets[name].load()
            if isinstance(data, LeftOut):
                absent[data.block] = data
                continue
            self._open_block(node)
            if data is not None:
                self._mirror(node, name, self._datasets[name], data)
        for block, reason in absent.items():
            current().send("", "set_tag", f"left_out.{block}", reason.sentence)
        if register := self._parameters.get("tracking", {}).get("register"):
            current().register_winner(register)
        failures = " ".join(reason.sentence for reason in absent.values() if reason.failed)
        if failures:
            self._finish("FAILED", RuntimeError(failures))
        else:
            self._finish("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the run as failed."""
        self._finish("FAILED", error)

    def _finish(self, status: str, error: Exception | None = None) -> None:
        current().send("", "log_dict", self._versions, "catalog_versions.json")
        current().finish(status, error=error)

    def _open_block(self, node: "Node") -> None:
        block = (node.namespace or "").partition(".")[0]
        if block and block in self._groups:
            current().open_block(block, select_parameters(self._groups[block], self._parameters, block))

    def _mirror(self, node: "Node", name: str, dataset: LocalFileDataset, data: Any) -> None:
        """Send an output to the run of its block, or to the run itself."""
        self._mirrored.add(name)
        self._note_version(name, "saved", dataset.resolve_save_version())
        block = (node.namespace or "").partition(".")[0]
        if name in (f"{block}.record", "dense_record"):
            current().log_record("" if name == "dense_record" else block, data)
        elif name == f"{block}.trained_ticket":
            current().log_model(block, data)
        elif isinstance(dataset, FigureDataset):
            current().send(block, "log_figure", data, f"figures/{name}.html")
        elif name in (f"{block}.ticket", "data_overview") or (
            isinstance(dataset, (FrameDataset, TextDataset)) and block not in self._groups.keys() - {""}
        ):
            current().send(block, "log_artifact", str(dataset.stored_path()))
        if name == "leaderboard":
            for row in data.to_dict("records"):
                if row["run"] not in self._groups:
                    current().note_reuse(row["run"], row["fingerprint"])

    def _note_version(self, name: str, action: str, version: str | None) -> None:
        if version is not None:
            self._versions.setdefault(name, {})[action] = version
