"""What a sweep is asked for: an entry of ``sweep.yml``, or the same on the command line."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from lottery_pipeline.options.faults import describe_faults
from lottery_pipeline.options.lists import Group

Scalar = bool | int | float | str | None
LONGEST_NAME = 40
MOST_POINTS = 100_000
MOST_WORKERS = 10_000
LOCAL, RAY, SLURM = "local", "ray", "slurm"
ENGINES = (LOCAL, RAY, SLURM)
_ADDRESS = re.compile(r"(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})", re.ASCII)


class SweepError(ValueError):
    """A sweep that cannot start; one sentence for each fault."""


def _as_list(grids: Any) -> Any:
    return [grids] if isinstance(grids, Mapping) else grids


class SweepRequest(Group):
    """A grid of runs, and how they are computed.

    Attributes:
        title: of the report.
        grid: one grid or several. A grid has a list of values for each of its axes; its points are all
            combinations. An axis is ``pipelines``, ``experiment`` (what ``--env`` names), the full name of a
            parameter (``seed``, ``pretraining.learning_rate``), or ``extraction.<option>``, which is that
            option of the method that the point runs.
        params: parameters that are the same at every point.
        engine: ``local``: processes of this machine; ``ray``: tasks of a Ray cluster; ``slurm``: writes the
            scripts for Slurm, and computes nothing.
        address: ``host:port`` of the head of the Ray cluster; null starts Ray on this machine.
        workers: how many points are computed at once; null is as many as there are GPUs, or else cores, or as
            the cluster has room for.
        max_points_per_worker: a worker process is replaced by a new one after so many points; on a GPU, and
            with 1, every point has a process of its own.
        retries: how often a failed point is tried again.
        cpus_per_point: CPUs that a point takes.
        gpus_per_point: GPUs that a point takes.
        tracking: ``each`` makes an MLflow run for each point, within that of the sweep; ``parent`` that of
            the sweep alone; null is ``each`` up to 500 points.
    """

    title: str = ""
    grid: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_as_list)]
    params: dict[str, Any] = Field(default_factory=dict)
    engine: Literal["local", "ray", "slurm"] = "local"
    address: str | None = None
    workers: Annotated[int, Field(strict=True, ge=1, le=MOST_WORKERS)] | None = None
    max_points_per_worker: int = Field(default=20, strict=True, ge=1)
    retries: int = Field(default=1, strict=True, ge=0, le=100)
    cpus_per_point: int = Field(default=1, strict=True, ge=1, le=1024)
    gpus_per_point: float = Field(default=0, ge=0, le=64)
    tracking: Literal["each", "parent"] | None = None

    @field_validator("grid")
    @classmethod
    def _has_points(cls, grids: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        if not grids:
            raise ValueError(
                "the grid is empty; it needs axes, such as {pipelines: [cts, snip], seed: [0, 1]}"
            )
        for grid in grids:
            if not grid.get("pipelines"):
                raise ValueError(
                    "a grid needs the axis pipelines with one value at least, such as pipelines: [cts, snip]"
                )
            for axis, values in grid.items():
                if isinstance(values, Sequence) and not isinstance(values, str) and not values:
                    raise ValueError(f"axis {axis} is empty, so the grid has no points; give it values")
        return grids

    @field_validator("address")
    @classmethod
    def _has_port(cls, address: str | None) -> str | None:
        if address is not None:
            split_address(address)
        return address


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 address is in square brackets.

    Raises:
        ValueError: it is something else.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or not 0 < int(found[3]) < 2**16:
        raise ValueError(
            f"{address!r} is not the address of a Ray head, which is host:port, such as 10.0.0.1:6379"
        )
    return found[1] or found[2], int(found[3])


def read_request(name: str, given: Any) -> SweepRequest:
    """Check an entry of ``sweep.yml``.

    Raises:
        SweepError: one sentence for each fault.
    """
    try:
        return SweepRequest.model_validate(given)
    except ValidationError as error:
        faults = describe_faults(f"sweep {name}", SweepRequest, error)
        raise SweepError("\n".join(fault.removeprefix("Parameter ") for fault in faults)) from error
