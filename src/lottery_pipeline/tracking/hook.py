"""The hook that mirrors a run in MLflow. Results never depend on it."""

import subprocess
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.parameters import to_plain
from lottery_pipeline.reproducibility.measured import flatten_record
from lottery_pipeline.tracking import current
from lottery_pipeline.tracking.store import TrackingSettings, artifact_folder

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline


class TrackingHooks:
    """Mirrors the run in MLflow: parameters, metrics, curves, figures, files, versions, and how it ended."""

    def __init__(self) -> None:
        self._settings = TrackingSettings(enabled=False)
        self._project = Path()
        self._catalog: CatalogProtocol | None = None
        self._versions: dict[str, dict[str, str]] = {}
        self._mirrored: set[str] = set()

    @hook_impl
    def after_context_created(self, context: "KedroContext") -> None:
        """Read ``mlflow.yml``; MLflow itself is imported when a run starts."""
        self._project = context.project_path
        try:
            self._settings = TrackingSettings(**context.config_loader["mlflow"])
        except MissingConfigException:
            self._settings = TrackingSettings(enabled=False)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: "CatalogProtocol") -> None:
        """Open the MLflow run with its tags and parameters."""
        current().finish("KILLED")  # an interrupted run of this process, in a notebook for example
        self._catalog, self._versions, self._mirrored = catalog, {}, set()
        if not self._settings.enabled:
            return
        names = sorted(run_params.get("pipeline_names") or ["__default__"])
        variant = str((run_params.get("runtime_params") or {}).get("variant", "base"))
        env = run_params.get("env") or "base"
        uri = self._settings.resolve_uri(self._project)
        current().start(
            uri=uri,
            experiment=self._settings.experiment,
            artifacts=artifact_folder(uri, self._project),
            name=f"{env}/{variant} {' '.join(names)}",
            tags={
                "kedro.run_id": str(run_params.get("run_id") or run_params.get("session_id")),
                "kedro.pipelines": ",".join(names),
                "kedro.env": env,
                "variant": variant,
                "mlflow.source.name": f"kedro run --pipelines {','.join(names)}",
                **describe_commit(self._project),
            },
        )
        current().log_parameters(to_plain(catalog.load("parameters")))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Mirror an output."""
        self._note_version(dataset_name, "saved")
        self._mirror(dataset_name, data)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Note which version of an input was read."""
        self._note_version(dataset_name, "loaded")

    @hook_impl
    def after_pipeline_run(self, pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
        """Close the run; a parallel runner's workers call no hooks, so what they saved is mirrored here."""
        if current().active:
            for name in sorted(pipeline.all_outputs() - self._mirrored):
                if self._is_mirrored(name) and catalog.exists(name):
                    self._mirror(name, catalog.load(name))
            current().log_json(self._versions, "catalog_versions.json")
        current().finish("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the run as failed."""
        current().log_json(self._versions, "catalog_versions.json")
        current().finish("FAILED", error=error)

    def _is_mirrored(self, name: str) -> bool:
        kinds = self._settings
        return _matches(name, [*kinds.metrics, *kinds.histories, *kinds.figures, *kinds.files])

    def _mirror(self, name: str, data: Any) -> None:
        """Send an output to MLflow in the form that ``mlflow.yml`` gives it."""
        if not current().active or data is None:
            return
        self._mirrored.add(name)
        if _matches(name, self._settings.metrics) and isinstance(data, Mapping):
            current().log_metrics(name.removesuffix("metrics").rstrip("._"), flatten_record(data))
        if _matches(name, self._settings.histories) and isinstance(data, list):
            current().log_history(name.replace("_history", ".history"), data)
        if _matches(name, self._settings.figures):
            current().log_figure(data, f"figures/{name}.html")
        if _matches(name, self._settings.files):
            dataset = None if self._catalog is None else self._catalog.get(name)
            if isinstance(dataset, LocalFileDataset):
                current().log_file(dataset.stored_path(), "/".join(name.split(".")[:-1]))

    def _note_version(self, name: str, action: str) -> None:
        dataset = None if self._catalog is None else self._catalog.get(name)
        if isinstance(dataset, LocalFileDataset) and dataset.exists():
            saved = action == "saved"
            version = dataset.resolve_save_version() if saved else dataset.resolve_load_version()
            if version is not None:
                self._versions.setdefault(name, {})[action] = version


def describe_commit(project: Path) -> dict[str, str]:
    """Return tags ``git.sha`` and ``git.dirty``; none outside a repository."""
    try:
        sha, status = (
            subprocess.run(  # noqa: S603 (fixed arguments)
                ["git", "-C", str(project), *arguments],  # noqa: S607 (the user's own git)
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git.sha": sha, "git.dirty": str(bool(status)).lower()}


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
