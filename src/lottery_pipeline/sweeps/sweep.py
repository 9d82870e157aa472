"""A sweep from its request to its report."""

import logging
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lottery_pipeline.reproducibility.locks import HeldError, Locks, NoLocksError, Wanted
from lottery_pipeline.sweeps.engines.choice import open_engine
from lottery_pipeline.sweeps.experiments import BASE
from lottery_pipeline.sweeps.outline import print_outline
from lottery_pipeline.sweeps.plan import Plan, Planner
from lottery_pipeline.sweeps.point import run_point, variables_set
from lottery_pipeline.sweeps.progress import Progress
from lottery_pipeline.sweeps.request import RAY, SLURM, SweepError, SweepRequest, read_request
from lottery_pipeline.sweeps.schedule import Schedule, make_task
from lottery_pipeline.tracking.sweep import EACH, PARENT, SweepRun, name_variables

logger = logging.getLogger(__name__)

MOST_TRACKED = 500  # points with an MLflow run of their own, unless more are asked for
OWN_NAME = "sweep"
ReadParameters = Callable[[Any, Any, str], Any]


def start_sweep(
    project: Path, name: str | None, given: Mapping[str, Any], *, read_grid: ReadParameters
) -> str:
    """Plan a sweep, compute what is missing of it, and report on it.

    Args:
        project: the project's folder.
        name: of an entry of ``sweep.yml``; None with a grid of the command line, or if there is one entry.
        given: options of the command line.
        read_grid: reads the text of ``--grid``.

    Returns:
        One sentence about the points that failed; empty if none did.

    Raises:
        SweepError: the sweep cannot start; one sentence for each fault.
    """
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project)
    planner = Planner(project, dict(pipelines))
    experiment = given["env"] or BASE
    name, request = choose_request(planner, experiment, name, given, read_grid)
    plan = planner.plan(name, request, experiment)
    if given["dry_run"]:
        print_outline(plan)
        return ""
    if given["point"]:
        return compute_point(plan, project, given["point"])
    if given["report"]:
        return report_sweep(plan, request, planner)
    if request.engine == SLURM:
        return prepare_slurm(plan, request, planner, given)
    return run_sweep(plan, request, planner)


def choose_request(
    planner: Planner, experiment: str, name: str | None, given: Mapping[str, Any], read_grid: ReadParameters
) -> tuple[str, SweepRequest]:
    """Return name and request of a sweep: an entry of ``sweep.yml`` with what the command line changes.

    Raises:
        SweepError: there is no such entry, or it has faults.
    """
    own: dict[str, Any]
    if given["grid"]:
        name = name or OWN_NAME
        own = {"grid": [_flatten(read_grid(None, None, text)) for text in given["grid"]]}
    else:
        known = planner.experiment(experiment).sweeps
        if name is None and len(known) == 1:
            name = next(iter(known))
        if name is None or name not in known:
            there = f"sweep.yml has {', '.join(sorted(known))}" if known else "there is no sweep.yml"
            wanted = "which sweep?" if name is None else f"there is no sweep {name!r}"
            raise SweepError(
                f"Experiment {experiment}: {wanted}; {there}, and --grid gives one on the command line."
            )
        own = dict(known[name])
    keys = ("engine", "address", "workers", "retries", "tracking")
    own |= {key: given[key] for key in keys if given[key] is not None}
    params = read_grid(None, None, given["params"]) if given["params"] else {}
    own["params"] = _flatten(own.get("params", {})) | _flatten(params)
    request = read_request(name, own)
    if given["address"] and request.engine != RAY:
        raise SweepError(f"--address is that of a Ray cluster, but the engine is {request.engine}.")
    return name, request


def run_sweep(plan: Plan, request: SweepRequest, planner: Planner) -> str:
    """Compute what is missing of a sweep, and report on it; see ``start_sweep``."""
    with _locked(plan):
        engine = open_engine(request, planner.project, plan.data_root)
        run = open_sweep_run(plan, request, planner)
        try:
            plan.save(tracking=run.tracking, run=run.identity)
            progress = Progress(plan, workers=engine.slots)
            schedule = Schedule(
                plan,
                engine,
                progress,
                project=planner.project,
                retries=request.retries,
                environment=run.environment,
            )
            logger.info("%s: %d points, computed by %s.", plan.sweep, len(plan.points), engine.where)
            with progress:
                schedule.run()
        except BaseException as error:
            engine.close(kill=True)
            run.finish("KILLED", error)
            raise
        engine.close()
        failures = describe_failures(plan, schedule.failures)
        if failures:  # said again at the end, unless the report fails too
            logger.warning(failures)
        try:
            report(plan, planner.project, run)
        finally:
            run.finish("FAILED" if failures else "FINISHED")
        return failures


def prepare_slurm(plan: Plan, request: SweepRequest, planner: Planner, given: Mapping[str, Any]) -> str:
    """Write the scripts with which Slurm computes what is missing; see ``start_sweep``."""
    from lottery_pipeline.sweeps.engines.slurm import repeat_command, write_scripts

    with _locked(plan):
        missing, command = plan.list_missing(), repeat_command(plan.sweep, given)
        script = write_scripts(plan, missing, request, planner.project, command)
        run = open_sweep_run(plan, request, planner)
        plan.save(tracking=run.tracking, run=run.identity)
        run.finish("SCHEDULED")
    click.echo(f"{plan.sweep}: {len(missing)} points are missing. This gives them to Slurm:")
    click.echo(f"bash {shlex.quote(str(script))}")
    return ""


def report_sweep(plan: Plan, request: SweepRequest, planner: Planner) -> str:
    """Report on what is done of a sweep, and compute nothing; see ``start_sweep``."""
    with _locked(plan):
        run = open_sweep_run(plan, request, planner)
        markers = {point.key: plan.find_marker(point) or {} for point in plan.list_missing()}
        errors = {key: marker.get("error") or "It is not done." for key, marker in markers.items()}
        try:
            plan.save(tracking=run.tracking, run=run.identity)
            report(plan, planner.project, run)
        finally:
            run.finish("FAILED" if errors else "FINISHED")
        return describe_failures(plan, errors)


def open_sweep_run(plan: Plan, request: SweepRequest, planner: Planner) -> SweepRun:
    """Open the sweep's run in MLflow, or that of an earlier start again."""
    return SweepRun(
        planner.experiment(plan.experiment).tracking,
        planner.project,
        tracking=request.tracking or (EACH if len(plan.points) <= MOST_TRACKED else PARENT),
        name=f"{plan.experiment}/{plan.sweep}",
        tags={"sweep": plan.sweep, "experiment": plan.experiment, "variant": plan.sweep},
        previous=plan.find_run(),
    )


def report(plan: Plan, project: Path, run: SweepRun) -> None:
    """Run pipeline ``sweep_report`` within the sweep's run in MLflow."""
    from kedro.framework.session import KedroSession
    from kedro.runner import SequentialRunner

    env = None if plan.experiment == BASE else plan.experiment
    session = KedroSession.create(project, env=env, runtime_params={"variant": plan.sweep})
    with variables_set(run.own_environment), session:
        session.run(pipeline_names=["sweep_report"], runner=SequentialRunner())


def compute_point(plan: Plan, project: Path, key: str) -> str:
    """Compute one point of a plan in this process; what it shares must be done. See ``start_sweep``.

    Raises:
        SweepError: the plan has no such point.
    """
    points = {point.key: point for point in (*plan.shared, *plan.points)}
    if key not in points:
        raise SweepError(f"The sweep {plan.sweep} has no point {key!r}; --dry-run lists them.")
    tracking = plan.find_tracking()
    variables = name_variables(tracking, plan.find_run()) if tracking else {}
    marker = run_point(make_task(plan, points[key], project, environment=variables))
    return describe_failures(plan, {key: marker["error"]} if marker["error"] else {})


def describe_failures(plan: Plan, failures: Mapping[str, str]) -> str:
    """Say in one sentence what has failed; empty if nothing has."""
    if not failures:
        return ""
    first, error = next(iter(failures.items()))
    others = "" if len(failures) == 1 else f" The first: {first}."
    count = f"{len(failures)} of {len(plan.points)} points failed" if len(failures) > 1 else f"{first} failed"
    return f"{count}.{others} {error} The same command tries again what is missing; each has a point.log."


@contextmanager
def _locked(plan: Plan) -> Iterator[None]:
    """Let nobody else compute the same sweep at the same time.

    Raises:
        SweepError: somebody does.
    """
    locks = Locks(plan.data_root / "work" / plan.experiment / plan.sweep / "locks")
    try:
        locks.take([Wanted("sweep", "the sweep")])
    except HeldError as error:
        holder = error.holders[0] if error.holders else None
        who = (
            f"process {holder.pid} on {holder.host}, started {holder.started}"
            if holder
            else "another process"
        )
        raise SweepError(
            f"The sweep {plan.sweep} is being computed already ({who}); wait for it, or use another name."
        ) from error
    except NoLocksError as error:
        logger.warning("Files cannot be locked here (%s): start no sweep of this name twice.", error)
    try:
        yield
    finally:
        locks.release()


def _flatten(given: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return parameters by full name; what is a dict in a grid stays a value only inside a list."""
    flat: dict[str, Any] = {}
    for key, value in given.items():
        name = f"{above}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat
