"""Dataset for a sweep: its plan, and what its points have left beside it so far."""

import errno
import logging
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from kedro.io import DatasetError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from lottery_pipeline.datasets.local_files import LocalFileDataset, Recall
from lottery_pipeline.datasets.previews import Rows, TablePreview, preview_table
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.options.scalars import Variant
from lottery_pipeline.reproducibility.files import stat_regular

logger = logging.getLogger(__name__)

POINT = "point.json"
MOST_POINTS = 200_000
PLAN_BYTES = 2**28  # 256 MiB
POINT_BYTES = 2**22  # 4 MiB
_NAMED = 20  # damaged points that are named one by one

Scalar = bool | int | float | str | None
Number = float | None
Count = int | None
Experiment = Annotated[str, Field(pattern=r"^[^\W_][\w.=-]{0,99}$")]  # the name of a folder


class SweepError(ValueError):
    """A plan of a sweep that cannot be read; one sentence."""


class Row(TypedDict):
    """A result of a point; it may have further scalars."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    kind: Literal["ticket", "rung"]
    method: Annotated[str, Field(min_length=1, max_length=200)]
    metric: NotRequired[str | None]
    rung: NotRequired[Count]
    seed: NotRequired[Count]
    kept: NotRequired[Count]
    prunable: NotRequired[Count]
    density: NotRequired[Number]
    dense_accuracy: NotRequired[Number]
    test_accuracy: NotRequired[Number]
    validation_accuracy: NotRequired[Number]
    search_epochs: NotRequired[Number]
    train_epochs: NotRequired[Number]
    search_seconds: NotRequired[Number]
    train_seconds: NotRequired[Number]


class _File(BaseModel):
    """A file that another process has written: what is known of it is checked, the rest is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class PlannedPoint(_File):
    """A point of the plan; ``axes`` is its place in the grid."""

    key: str = Field(min_length=1, max_length=500)
    experiment: Experiment
    variant: Variant
    pipelines: list[str] = []
    axes: dict[str, Scalar] = {}
    shared: str = ""
    fingerprint: str = ""
    epochs: dict[str, float | None] = {}


class SweepPlan(_File):
    """The plan of a sweep."""

    format: Literal[1]
    sweep: Variant
    experiment: Experiment
    title: str = Field(default="", max_length=2000)
    points: list[PlannedPoint] = Field(max_length=MOST_POINTS)


class PointFile(_File):
    """What the process of a point has left."""

    format: Literal[1]
    key: str
    fingerprint: str
    state: Literal["running", "done", "failed"]
    attempts: int = 1
    host: str = ""
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    error: str = ""
    rows: Annotated[list[Row], Field(max_length=10_000)] = []


_SCALARS = (bool, int, float, str, type(None))
_PLAN, _POINT = TypeAdapter(SweepPlan), TypeAdapter(PointFile)


class SweepPointsDataset(LocalFileDataset):
    """The plan of a sweep with its points; those lie in folders of their own, where the plan says.

    A point without a file is ``missing``, one of other parameters than the plan's is ``stale``, one whose
    file cannot be read is ``damaged`` and named in a warning.
    """

    made_by = "`kedro sweep` makes it; --params variant=NAME names the sweep"

    def _read(self, path: Path) -> dict[str, Any]:
        """Return ``plan`` and ``points``, as ``tabulate_points`` takes them."""
        plan = read_plan(path)
        points = [read_point(path, point) for point in plan.points]
        damaged = [point for point in points if point["state"] == "damaged"]
        for point in damaged[:_NAMED]:
            logger.warning("Point %s is left out: %s.", point["key"], point["error"])
        if len(damaged) > _NAMED:
            logger.warning("%d more points are left out for such reasons.", len(damaged) - _NAMED)
        return {"plan": plan.model_dump(exclude={"points"}), "points": points}

    def _write(self, path: Path, data: Any) -> Recall | None:  # noqa: ARG002 (the signature is Kedro's)
        raise DatasetError("the plan of a sweep is saved by the sweep that makes it")

    def preview(self) -> TablePreview:
        """Return how many points there are in each state, for Kedro-Viz."""

        def read(path: Path) -> Rows:
            states = [read_point(path, point)["state"] for point in read_plan(path).points]
            return [{"state": state, "points": states.count(state)} for state in dict.fromkeys(states)]

        return preview_table(self, read)


def read_plan(path: Path) -> SweepPlan:
    """Read the plan of a sweep.

    Raises:
        SweepError: it is damaged, too large or names a point twice.
    """
    try:
        plan = _PLAN.validate_json(_read_bounded(path, PLAN_BYTES))
    except ValidationError as error:
        raise SweepError(
            f"{path} is not a valid plan of a sweep: {describe_file_fault(None, error)}"
        ) from error
    except OSError as error:
        raise SweepError(f"{path} cannot be read: {error.strerror}") from error
    if len({point.key for point in plan.points}) < len(plan.points):
        raise SweepError(f"{path} is not a valid plan of a sweep: two of its points have the same key")
    return plan


def read_point(plan: Path, planned: PlannedPoint) -> dict[str, Any]:
    """Read what a point has left.

    Args:
        plan: path of the plan.
        planned: the point.

    Returns:
        What the plan says of the point, and ``state``: ``done``, ``failed``, ``running``, ``missing``,
        ``stale`` or ``damaged``; ``error``, a sentence; ``attempts``, ``seconds``, and ``rows``, if done.
    """
    path = plan.parents[2] / planned.experiment / planned.variant / POINT
    known = planned.model_dump()
    absent = {"error": "", "attempts": 0, "seconds": None, "rows": []}
    try:
        found = _POINT.validate_json(_read_bounded(path, POINT_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return known | absent | {"state": "missing"}
    except ValidationError as error:
        fault = f"{path} is not a valid point of a sweep: {describe_file_fault(None, error)}"
        return known | absent | {"state": "damaged", "error": fault}
    except OSError as error:
        return known | absent | {"state": "damaged", "error": f"{path} cannot be read: {error.strerror}"}
    if found.fingerprint != planned.fingerprint or found.key != planned.key:
        return known | absent | {"state": "stale"}
    if not all(isinstance(value, _SCALARS) for row in found.rows for value in row.values()):
        return known | absent | {"state": "damaged", "error": f"{path} has rows of more than plain values"}
    return {
        **known,
        "state": found.state,
        "error": found.error,
        "attempts": found.attempts,
        "seconds": found.seconds,
        "rows": found.rows if found.state == "done" else [],
    }


def _read_bounded(path: Path, limit: int) -> bytes:
    """Read a file of somebody else's.

    Raises:
        OSError: there is none, it is not a regular file, or it is larger than the limit.
    """
    stat_regular(path)
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit >> 20} MiB", str(path))
    return content
