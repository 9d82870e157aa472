"""Ray core tasks on the nodes of a cluster, or on this machine. What a lost node computed, others do."""

import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lottery_pipeline.sweeps.engines import Work, share_cores
from lottery_pipeline.sweeps.engines.cluster import check_head, check_nodes, count_slots, list_nodes, word
from lottery_pipeline.sweeps.point import Marker, Task, run_point
from lottery_pipeline.sweeps.request import MOST_WORKERS, SweepError

logger = logging.getLogger(__name__)

NODE_LOSSES = 1  # that a point survives; a loss after that counts as a failure of the point
_STORE_BYTES = 10**8  # of a Ray that is started here: results are small
_PASSED = ("LOTTERY_", "MLFLOW_", "KEDRO_")  # variables of this process that points get
_VARIABLES = {  # of Ray, which reads them when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # none of its lines between ours
    "RAY_NUM_REDIS_GET_RETRIES": "5",  # seconds to be let into a cluster
    "RAY_raylet_start_wait_time_s": "120",  # on a busy machine
}


class RayEngine:
    """Ray tasks that compute a point each.

    Args:
        address: ``host:port`` of the cluster's head; None starts Ray on this machine.
        project: the project's folder, which every node sees at the same place.
        data_root: folder of all results, likewise.
        workers: no more points at once than these; None is as many as the cluster has room for.
        points_per_worker: after so many points a process is replaced; on a GPU every point has its own.
        cpus_per_point: CPUs that a point takes.
        gpus_per_point: GPUs that a point takes; a fraction shares one.
        work: computes a point; must be importable on every node.

    Raises:
        SweepError: Ray is not installed, does not answer, or has no room for a point; or a node does not see
            the folders.
    """

    def __init__(
        self,
        address: str | None,
        *,
        project: Path,
        data_root: Path,
        workers: int | None = None,
        points_per_worker: int = 20,
        cpus_per_point: int = 1,
        gpus_per_point: float = 0,
        work: Work = run_point,
    ) -> None:
        self._ray = _import_ray()
        self._takes = (cpus_per_point, gpus_per_point)
        self._most = workers or MOST_WORKERS
        self._nodes = 0
        self._connect(address, project)
        try:
            self.slots = self._count_slots()
            if not self.slots:
                raise SweepError(
                    f"No node of the Ray cluster has what a point takes: cpus_per_point {cpus_per_point}, "
                    f"gpus_per_point {gpus_per_point}."
                )
            check_nodes(self._ray, project, data_root)
        except BaseException:
            self._ray.shutdown()
            raise
        nodes = f"{self._nodes} Ray node{'s' if self._nodes > 1 else ''}"
        self.where = f"{nodes}, {self.slots} at once"
        self._work = self._ray.remote(
            num_cpus=cpus_per_point,
            num_gpus=gpus_per_point,
            max_calls=1 if gpus_per_point else points_per_worker,
            max_retries=NODE_LOSSES,
        )(work)
        self._variables = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
        # A thread waits for each task, so that Ray never has more of them than `workers`.
        self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="sweep")
        self._tasks: set[Any] = set()

    def submit(self, task: Task) -> "Future[Marker]":
        """Have a point computed; the future raises if its process has died, or too many of its nodes."""
        self.slots = max(1, self._count_slots())
        return self._threads.submit(self._compute, task)

    def close(self, *, kill: bool = False) -> None:
        """Leave the cluster, or end the Ray that was started here; with ``kill`` points are stopped first."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if kill:
            for reference in list(self._tasks):
                self._ray.cancel(reference, force=True)
        self._threads.shutdown()
        self._ray.shutdown()

    def _compute(self, task: Task) -> Marker:
        task = replace(task, environment={**self._variables, **task.environment})
        reference = self._work.options(name=task.point.key).remote(task)
        self._tasks.add(reference)
        try:
            marker: Marker = self._ray.get(reference)
            return marker
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None  # without the pages that Ray adds
        finally:
            self._tasks.discard(reference)

    def _connect(self, address: str | None, project: Path) -> None:
        if address is not None:
            check_head(address)
        here = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        # The project need not be installed: its code is on the file system that all nodes share.
        variables = {"PYTHONPATH": f"{project / 'src'}{os.pathsep}${{PYTHONPATH}}"}
        if not self._takes[1]:
            variables["CUDA_VISIBLE_DEVICES"] = ""  # what a point has not asked for, others may use
        try:
            with _sigterm_kept():
                self._ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    configure_logging=False,
                    runtime_env={"env_vars": variables | share_cores(1, self._takes[0])},
                    **({} if address else here),
                )
        except Exception as error:
            hint = " If it wants a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here, too."
            raise SweepError(
                f"Ray at {address} refuses: {word(error)}.{hint}" if address else f"Ray: {word(error)}."
            ) from error

    def _count_slots(self) -> int:
        """Return how many points the nodes that are there now have room for; tell if some are gone."""
        nodes = list_nodes(self._ray)
        if len(nodes) < self._nodes:
            logger.warning(
                "Ray: %d of %d nodes are left, and compute the points of the others again.",
                len(nodes),
                self._nodes,
            )
        self._nodes = len(nodes)
        return min(self._most, sum(count_slots(node["Resources"], *self._takes) for node in nodes))


def _import_ray() -> Any:
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise SweepError("Engine ray needs the package ray: pip install -e '.[ray]'.") from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Keep our answer to SIGTERM: Ray puts its own in its place."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)
