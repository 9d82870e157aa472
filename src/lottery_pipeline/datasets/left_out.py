"""What takes the place of a result that a run does not have, and says why: in memory and beside its file."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lottery_pipeline.reproducibility.sums import (
    ChangedFileError,
    check_sum,
    remove_with_sum,
    sum_json,
    write_with_sum,
)

ENDING = ".left_out"


@dataclass(frozen=True)
class LeftOut:
    """Takes the place of every result of a block that was left out, or that failed.

    Attributes:
        block: its name.
        reason: why, as a part of a sentence.
        node: of the block, where it failed; empty if it was left out.
    """

    block: str
    reason: str
    node: str = ""

    @property
    def failed(self) -> bool:
        """Whether it was tried."""
        return bool(self.node)

    @property
    def sentence(self) -> str:
        """The reason, in one sentence."""
        what = f"failed in {self.node}" if self.failed else "is left out"
        return f"{self.block} {what}: {self.reason}."


def write_note(path: Path, left_out: LeftOut) -> None:
    """Write down beside a file that what it would hold is left out; what it held before stays."""
    content = json.dumps(asdict(left_out), indent=2) + "\n"
    write_with_sum(_note_of(path), content.encode(), sum_json)


def read_note(path: Path) -> LeftOut | None:
    """Return why the content of a file is left out; None if it is not.

    Raises:
        ChangedFileError: the note was changed after it was written.
    """
    note = _note_of(path)
    try:
        content = note.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    check_sum(note, content, sum_json)
    try:
        return LeftOut(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise ChangedFileError(f"{note} does not say what was left out, and why; remove it") from error


def remove_note(path: Path) -> None:
    """Forget that the content of a file was left out: now there is one."""
    remove_with_sum(_note_of(path))


def find_reason(function: Callable[..., Any], inputs: Iterable[Any]) -> LeftOut | None:
    """Return why a node computes nothing: its block or one of its inputs is left out; None if it computes.

    Args:
        function: of the node. While a run lasts it may have ``left_out``, the reason, and ``spared``, the
            blocks that it can do without (``hooks/guards.py``).
        inputs: what it is given.
    """
    own: LeftOut | None = getattr(function, "left_out", None)
    spared = getattr(function, "spared", ())
    absent = (value for value in inputs if isinstance(value, LeftOut) and value.block not in spared)
    return own or next(absent, None)


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{ENDING}")
