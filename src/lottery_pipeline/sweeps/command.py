"""``kedro sweep``: many runs from one grid."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from lottery_pipeline.sweeps.request import ENGINES, SweepError

EPILOG = (
    """Example: kedro sweep mine --grid "pipelines=[cts,snip],extraction.density=[0.1,0.02],seed=[0,1]" """
)


def make_sweep(read_parameters: Any, check_env: Any) -> click.Command:
    """Return the command.

    Args:
        read_parameters: callback that reads ``key=value,key=value``, as ``--params`` of ``kedro run`` has it.
        check_env: callback that refuses an empty ``--env``.
    """

    def check_params(context: click.Context, option: click.Parameter, text: str) -> str:
        read_parameters(context, option, text)
        return text

    @click.command(epilog=EPILOG)
    @click.argument("name", required=False)
    @click.option(
        "--env", "-e", callback=check_env, help="Experiment; its sweep.yml may name sweeps of its own."
    )
    @click.option(
        "--grid", multiple=True, help="A grid instead of one of sweep.yml; may be given several times."
    )
    @click.option("--params", default="", callback=check_params, help="Parameters of all points.")
    @click.option("--engine", type=click.Choice(ENGINES), help="Where points are computed.")
    @click.option("--address", help="Head of the Ray cluster, as host:port.")
    @click.option("--workers", type=click.IntRange(1), help="Points computed at once.")
    @click.option("--retries", type=click.IntRange(0), help="How often a failed point is tried again.")
    @click.option(
        "--tracking", type=click.Choice(["each", "parent"]), help="MLflow runs: each point, or one."
    )
    @click.option("--dry-run", is_flag=True, help="Print the plan and its cost, and compute nothing.")
    @click.option("--point", help="Compute this point alone and nothing else.")
    @click.option("--report", is_flag=True, help="Report on what is done, and compute nothing.")
    @click.pass_obj
    def sweep(metadata: Any, name: str | None, **given: Any) -> None:
        """Compute a grid of runs, NAME of sweep.yml or --grid, and report on it.

        What is done already is skipped, so the same command resumes a sweep that was stopped.
        """
        from lottery_pipeline.sweeps.sweep import start_sweep

        try:
            with _ended_by_sigterm():
                failures = start_sweep(metadata.project_path, name, given, read_grid=read_parameters)
        except SweepError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Stopped. The same command resumes: what is done is not computed again.", err=True)
            sys.exit(130)
        if failures:
            raise click.ClickException(failures)

    return sweep


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, as batch systems send it, end a sweep like Ctrl-C."""

    def stop(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
