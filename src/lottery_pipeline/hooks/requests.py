"""Before the first node: a run that cannot succeed is refused, with one sentence for each reason."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.ownership import ReleaseDataset
from lottery_pipeline.datasets.stored_tickets import StoredTicketsDataset
from lottery_pipeline.datasets.tickets import LadderDataset, TicketDataset
from lottery_pipeline.hooks.guards import find_failures, find_final_error, guard_nodes
from lottery_pipeline.hooks.preflight import check_run
from lottery_pipeline.hooks.process_checks import check_processes
from lottery_pipeline.models.names import is_factory
from lottery_pipeline.parameter_names import check_names
from lottery_pipeline.parameters import ParametersError, check_parameters
from lottery_pipeline.tracking.passwords import hide

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

logger = logging.getLogger(__name__)

BUILT_BY_A_FACTORY = (TicketDataset, LadderDataset, ReleaseDataset, StoredTicketsDataset)


class _Sentence(click.ClickException):
    """The command line prints it without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(hide(message))


class RunRefusedError(_Sentence):
    """A run that cannot be started."""


class RunFailedError(_Sentence):
    """A run that had to stop for a reason known to this package; its cause has the traceback."""


class RequestHooks:
    """Refuses a run that cannot succeed, before its first node."""

    def __init__(self) -> None:
        self._project = Path()
        self._parameters: dict[str, Any] = {}
        self._options = ""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: "KedroContext") -> None:
        """Check every parameter; Kedro's own check, later, turns them into their types."""
        self._project = context.project_path
        try:
            check_names(context.config_loader.runtime_params or {})
            raw = context.config_loader["parameters"]
            self._parameters = check_parameters(raw)
        except MissingConfigException as error:
            raise RunRefusedError(f"There is no experiment {context.env!r}: {error}") from error
        except ParametersError as error:
            raise RunRefusedError(str(error)) from error
        # Relative paths start at the project, whatever folder the command runs in.
        work = self._parameters["work"].resolve(context.project_path)
        model = self._parameters["model"].resolve(context.project_path)
        verification = self._parameters["ownership_verification"].resolve(context.project_path)
        robustness = self._parameters["robustness_evaluation"].resolve(context.project_path)
        context.config_loader["parameters"] = {
            **raw,
            "model": {**raw["model"], "name": model.name, "weights": model.weights},
            "work": work.model_dump(mode="json"),
            "ownership_verification": verification.model_dump(mode="json"),
            "robustness_evaluation": robustness.model_dump(mode="json"),
        }
        variant = self._parameters.get("variant")
        self._options = f" --env {context.env}" if context.env else ""
        self._options += f" --params variant={variant}" if variant else ""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: "Pipeline", catalog: "CatalogProtocol"
    ) -> None:
        """Check that the nodes have what they need and can do what they are asked for, and guard them."""
        from kedro.framework.project import pipelines

        if "ThreadRunner" in str(run_params.get("runner")):
            # Initialisation, augmentation and dropout draw from torch's one generator of the process.
            raise RunRefusedError(
                "--runner ThreadRunner cannot be used: nodes in threads would draw from one random generator "
                "at the same time, so no result could be made again; allowed are SequentialRunner and "
                "ParallelRunner."
            )
        wanted = {name.removeprefix("params:") for name in pipeline.inputs()}
        if faults := list(check_processes(wanted, self._parameters, run_params)):
            raise RunRefusedError("\n".join(faults))
        try:
            left_out = check_run(
                pipeline,
                catalog,
                self._parameters,
                pipelines=dict(pipelines),
                named=run_params.get("pipeline_names") or (),
                project=self._project,
                options=self._options,
                load_versions=run_params.get("load_versions") or {},
            )
        except ParametersError as error:
            raise RunRefusedError(str(error)) from error
        for reason in left_out.values():
            logger.warning(reason.sentence)
        guard_nodes(pipeline, catalog, left_out, self._parameters)
        _trust_own_factory(self._parameters["model"].name, pipeline, catalog)
        for dataset in map(catalog.get, pipeline.datasets()):
            if isinstance(dataset, ImageSplitsDataset):
                dataset.storage = self._parameters["data"].storage
        if self._parameters["threads"] is not None and "params:device" in pipeline.inputs():
            import torch

            torch.set_num_threads(self._parameters["threads"])

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
        """End a run with an error if something in it failed, after all else was done."""
        if failures := find_failures(pipeline, catalog):
            sentences = " ".join(failure.sentence for failure in failures)
            raise RunFailedError(
                f"{sentences} The rest is done; the same command tries what is missing again."
            )

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Say in one sentence what this package itself has refused, or could not write.

        Other errors keep their traceback.
        """
        if (fault := find_final_error(error)) is not None:
            raise RunFailedError(str(fault)) from error
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ValueError) and type(cause).__module__.startswith("lottery_pipeline."):
                raise RunFailedError(f"{type(cause).__name__}: {cause}") from error
            cause = cause.__cause__


def _trust_own_factory(model: str, pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
    """Let only the factory that this run itself names build the tickets of this run."""
    for dataset in map(catalog.get, pipeline.datasets()):
        if isinstance(dataset, BUILT_BY_A_FACTORY) and is_factory(model):
            dataset.allow_factory = model
