"""What was taken from a file of weights and what was not: for the log, the dense run and the report."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_NAMES = 20
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Text = Annotated[str, Field(max_length=300)]
_Names = Annotated[tuple[_Text, ...], Field(max_length=64)]


class WeightsRecord(BaseModel):
    """Where theta_0 came from. It is part of a dense run's file, so every field is bounded.

    Attributes:
        file: name of the file, without its folder.
        tensors: of the network, batch-norm statistics included.
        tensors_taken: how many of them.
        values: numbers in these tensors.
        values_taken: how many of them.
        fresh: tensors that keep their seeded initialisation: those of the last layer.
        classes: number of classes in the file if it is another; None if it has no last layer, or the same.
        adapted: the weight whose input channels were added up or spread; empty if they fit.
        converted: number types other than the network's, such as ``float16``.
        unused: tensors of the file that have no place in the network.
        unused_names: the first of them.
        sha256: of the tensors taken, by name, type, shape and content; the same whatever the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: _Text
    tensors: _Count
    tensors_taken: _Count
    values: _Count
    values_taken: _Count
    fresh: _Names = ()
    classes: _Count | None = None
    adapted: _Names = ()
    converted: _Names = ()
    unused: _Count = 0
    unused_names: _Names = ()
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def describe_weights(record: WeightsRecord) -> str:
    """Say in a few sentences what theta_0 is, what was taken and what was not."""
    taken = f"{record.values_taken:,} of the network's {record.values:,} values"
    parts = [f"theta_0 is {record.file}: {taken} ({record.tensors_taken} of {record.tensors} tensors)"]
    if record.fresh:
        reason = "has no such layer" if record.classes is None else f"has {record.classes} classes"
        parts.append(f"The last layer ({list_names(record.fresh)}) starts fresh, because the file {reason}")
    if record.adapted:
        parts.append(f"{record.adapted[0]} was fitted to the number of channels of these images")
    if record.converted:
        parts.append(f"Values were converted to float32 from {', '.join(record.converted)}")
    if record.unused:
        names = list_names(record.unused_names, record.unused)
        parts.append(f"Not used of the file: {record.unused} tensors ({names})")
    return ". ".join(parts) + "."


def list_names(names: Sequence[str], count: int | None = None) -> str:
    """Write names that a stranger may have chosen, cut to a readable length.

    Args:
        names: the first of them at least.
        count: of all; that of the given names by default.
    """
    shown = [ascii(name)[1:-1][:80] for name in names[:5]]
    more = (len(names) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
