"""Tracking: a Kedro run is an MLflow run, each of its blocks one within it, live. Trouble gives one warning.

Nodes reach the run through ``current()``; outside a tracked run that object does nothing. A failure never
costs a result. MLflow is imported only when a run starts.
"""

import atexit
import logging
import os
import socket
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from lottery_pipeline.tracking.connection import Connection
from lottery_pipeline.tracking.models import ExportedModel, describe_images, register_model
from lottery_pipeline.tracking.names import LONGEST_NAME, clean_name, clean_tags, cut
from lottery_pipeline.tracking.passwords import Passwords, hide_in, hide_in_output, take_login
from lottery_pipeline.tracking.results import name_chain, pick_winner, sort_record
from lottery_pipeline.tracking.run import MlflowRun
from lottery_pipeline.tracking.store import (
    LOCAL,
    TrackingSettings,
    answers,
    find_page,
    list_tags,
    open_experiment,
    prepare_store,
    reopen_run,
)
from lottery_pipeline.tracking.system_metrics import start_monitor
from lottery_pipeline.tracking.termination import listen_for_termination

if TYPE_CHECKING:
    from lottery_pipeline.images.splits import ImageSplits
    from lottery_pipeline.tickets import Ticket

logger = logging.getLogger(__name__)

PARENT_TAG = "mlflow.parentRunId"

P = ParamSpec("P")
Method = Callable[Concatenate["Tracker", P], None]


def when_active(method: Method[P]) -> Method[P]:
    """Let a method do nothing outside a run, and never fail."""

    @wraps(method)
    def call(tracker: "Tracker", *arguments: P.args, **named: P.kwargs) -> None:
        if tracker.active:
            with tracker.connection.without_trouble():
                method(tracker, *arguments, **named)

    return call


class Tracker:
    """The MLflow runs of a Kedro run, by block; the Kedro run itself has the name "".

    Before ``start``, after ``finish`` and in the workers of a parallel runner every call does nothing.
    """

    def __init__(self) -> None:
        self.connection = Connection()
        self._runs: dict[str, MlflowRun] = {}
        self._process = 0
        self._stop_listening: Callable[[], object] = lambda: None  # for SIGTERM

    @property
    def active(self) -> bool:
        """Whether a run is open, and this process opened it."""
        return bool(self._runs) and self._process == os.getpid()

    @property
    def page(self) -> str:
        """Address of the runs in MLflow's pages; empty outside a run that MLflow knows."""
        return find_page(self._uri, self._experiment) if self._runs and self._experiment else ""

    @property
    def identity(self) -> str:
        """Identity of the Kedro run in MLflow; empty outside a run that MLflow knows."""
        return self._runs[""].identity if "" in self._runs else ""

    def start(
        self,
        settings: TrackingSettings,
        project: Path,
        *,
        name: str,
        tags: Mapping[str, str],
        parameters: Mapping[str, str],
        within: str = "",
        opened: str = "",
    ) -> None:
        """Open a run.

        Args:
            settings: where, and what it holds.
            project: the project's folder.
            name: of the run.
            tags: of the run and of those within it.
            parameters: of the run itself.
            within: identity of a run that this one is shown within.
            opened: identity of a run to be used instead of a new one, if MLflow knows it.
        """
        given = settings.resolve_uri(project)
        self._uri, self._settings, self._process = take_login(given), settings, os.getpid()
        self._experiment = ""
        self._images: Any = None
        self._monitor: Any = None
        self._links: dict[str, str] = {}
        self._runs = {}
        self.connection = Connection(lambda: answers(self._uri, self.connection.client))
        hide_in_output(Passwords(given))
        owner = {"process.host": socket.gethostname(), "process.pid": str(self._process)}
        with self.connection.without_trouble():
            prepare_store(self._uri)
        with self.connection.without_trouble():
            own = list_tags(project, {**tags, **owner})
            self._tags = clean_tags(hide_in(own))
            self.connection.do(lambda: self._open_experiment(project))
            self._open("", name, parameters, {PARENT_TAG: within} if within else {}, opened=opened)
            if settings.system_metrics:
                self.connection.do(self._watch_system)
        if self.active:
            atexit.register(self.finish, "KILLED")
            self._stop_listening = listen_for_termination()

    @when_active
    def open_block(self, block: str, parameters: Mapping[str, str]) -> None:
        """Open the run of a block, unless that has been done."""
        if block not in self._runs:
            self._open(block, block, parameters, name_chain(block))

    @when_active
    def note_images(self, images: "ImageSplits") -> None:
        """Log the images as an input of the run, and of the blocks that open from now on."""
        if self._images is None:
            self._images = describe_images(images)
            self.send("", "log_inputs", [self._images])

    @when_active
    def note_made(self, name: str, fingerprint: str) -> None:
        """Tag the run that made a result, such as ``dense_run``, unless it has only reused it."""
        if name not in self._links:
            self.send("", "set_tag", f"made.{name}", fingerprint)

    @when_active
    def note_reuse(self, name: str, fingerprint: str) -> None:
        """Link the run to the one that made a stored result."""
        self._links[name] = ""  # also if it was made before runs were tracked
        self.connection.do(lambda: self._link(name, fingerprint))

    @when_active
    def log_row(self, owner: str, part: str, row: Mapping[str, Any]) -> None:
        """Log a row as it appears.

        Args:
            owner: the block; "" for the run itself. Rows of a block without a run are not logged.
            part: what reports it, as ``Curves`` explains.
            row: of a training, or a result by rung; one that comes again is skipped.
        """
        if owner in self._runs:
            self._runs[owner].draw(part, row)

    @when_active
    def log_record(self, owner: str, record: Mapping[str, Any]) -> None:
        """Log what a block has measured, and close its run.

        Args:
            owner: the block; "" for the record of the dense run, which belongs to the run itself.
            record: with its curves, which are logged if they were not seen live.
        """
        import pandas

        run, found = self._runs[owner], sort_record(record, dense=not owner)
        seen = run.curves.counts["search"]  # the trace does not name its parts as the search did
        for part, row in found.rows:
            if not (seen and part.startswith("round")):
                self.log_row(owner, part, row)
        run.log_metrics(found.metrics)
        made = {f"made.{owner}": found.tags["fingerprint"]} if "fingerprint" in found.tags else {}
        run.log_parameters(found.parameters)
        run.log_tags(found.tags | made)
        for path, rows in found.tables.items():
            # As objects: for text columns of its own type pandas warns of what MLflow does.
            self.send(owner, "log_table", pandas.DataFrame(rows, dtype=object), clean_name(path))
        if owner:
            run.close("FINISHED")

    @when_active
    def log_model(self, block: str, ticket: "Ticket") -> None:
        """Log the trained ticket of a block as a model."""
        if block in self._runs and self._images is not None and self._settings.models:
            run = self._runs[block]
            exported = ExportedModel.of(block, ticket, self._images)
            if exported is not None:
                self.connection.do(lambda: self._send_model(run, exported))

    @when_active
    def register_winner(self, name: str) -> None:
        """Make the model of the best block the newest version of a registered model."""
        self.connection.do(lambda: self._register(name))

    @when_active
    def send(self, owner: str, method: str, *arguments: Any) -> None:
        """Call a method of ``MlflowClient``, such as ``log_figure``, on the run of a block.

        Args:
            owner: the block; if it has no run of its own, the run itself is meant.
            method: its name.
            *arguments: those after the run.
        """
        self._runs.get(owner, self._runs[""]).call(method, *arguments)

    def finish(self, status: str, *, error: BaseException | None = None) -> None:
        """Close the run as it ended, those of its blocks first; only the first call counts.

        Args:
            status: ``FINISHED``, ``FAILED`` or ``KILLED``.
            error: what ended it.
        """
        if not self.active:
            return
        self.connection.try_again()
        if self._monitor is not None:
            self.connection.do(self._monitor.finish)
        with self.connection.without_trouble():
            for run in reversed(self._runs.values()):
                if not run.closed:
                    run.close(status, error)
        self.connection.finish()
        if self.page:
            logger.info("MLflow: %s%s", self.page, " after `make mlflow`" if LOCAL in self.page else "")
        self._runs = {}
        atexit.unregister(self.finish)
        self._stop_listening()

    def _open(
        self,
        owner: str,
        name: str,
        parameters: Mapping[str, str],
        tags: Mapping[str, str] | None = None,
        *,
        opened: str = "",
    ) -> None:
        parent = self._runs.get("")
        run = self._runs[owner] = MlflowRun(self.connection)

        def create() -> str:
            if opened and reopen_run(self.connection.client, opened, self._tags):
                return opened
            above = {} if parent is None else {PARENT_TAG: parent.identity}
            made = self.connection.client.create_run(
                self._experiment,
                run_name=cut(name, LONGEST_NAME, "..."),
                tags={**self._tags, **above, **(tags or {})},
            )
            return str(made.info.run_id)

        run.open(create, parameters)
        if self._images is not None:
            run.images = (self._images.dataset.name, self._images.dataset.digest)
            run.call("log_inputs", [self._images])

    def _open_experiment(self, project: Path) -> None:
        opened = open_experiment(self._uri, self._settings.experiment, project)
        self.connection.client, self._experiment = opened

    def _link(self, name: str, fingerprint: str) -> None:
        client, own = self.connection.client, self._runs[""].identity
        query = f"tags.`made.{name}` = '{fingerprint}'"
        for run in client.search_runs([self._experiment], query, max_results=1):  # the newest
            place = f"#/experiments/{self._experiment}/runs/{run.info.run_id}"
            self._links[name] = f"- {name} was made by [{run.info.run_name}]({place})\n"
            client.set_tag(own, f"reused.{name}", run.info.run_id)
            client.set_tag(own, "mlflow.note.content", "".join(self._links.values()))

    def _send_model(self, run: MlflowRun, exported: ExportedModel) -> None:
        run.model = exported.send(self.connection.client, run.identity)

    def _register(self, name: str) -> None:
        models = {block: run.model for block, run in self._runs.items() if run.model}
        winner = pick_winner({block: self._runs[block].metrics for block in models})
        if winner is None:
            logger.warning("MLflow: no model is registered, because none has a validation accuracy.")
            return
        version = register_model(self.connection.client, name, models[winner])
        logger.info("MLflow: the ticket of %s is registered as version %s of %s.", winner, version, name)

    def _watch_system(self) -> None:
        self._monitor = start_monitor(self._runs[""].identity, self._uri)


_tracker = Tracker()


def current() -> Tracker:
    """Return the tracker of the current run; it does nothing outside a tracked run."""
    return _tracker
