"""Files of weights from strangers: safetensors, or what ``torch.save`` writes; told by their content."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lottery_pipeline.models.weights.choice import WeightsError
from lottery_pipeline.models.weights.torch_file import LEGACY_MARK, ZIP_MARK, read_torch_file
from lottery_pipeline.reproducibility.files import describe_state, stat_regular

_LONGEST_HEADER = 8 * 2**20  # of a safetensors file; parsing costs memory in proportion
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # where scripts put the state dict
_MOST_WRAPPERS = 3


@contextmanager
def open_weights(path: Path, *, most: int) -> Iterator[dict[str, Tensor]]:
    """Open a file and give its tensors by name; they are to be copied in the block.

    Args:
        path: a safetensors file, or one that ``torch.save`` has written, with a state dict in it.
        most: bytes that the file may have.

    Yields:
        The tensors on the CPU: of any shape, dtype and kind, since nothing of them has been checked.

    Raises:
        WeightsError: the file is missing, too large, damaged, holds more than tensors, or has changed while
            it was read. Every WeightsError raised in the block names the file.
    """
    try:
        if path.is_dir():
            raise WeightsError("it is a folder, not a file")
        before = stat_regular(path)
        if before.st_size > most:
            raise WeightsError(
                f"it has {before.st_size:,} bytes, too many for this network (at most {most:,} are read); "
                "save the state dict alone"
            )
        yield _read(path)
        if describe_state(stat_regular(path)) != describe_state(before):
            raise WeightsError("it has changed while it was read; try again when it is complete")
    except WeightsError as error:
        raise type(error)(f"cannot use {path}: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise WeightsError(f"cannot use {path}: it cannot be read ({reason})") from error


def _read(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as stream:
        head = stream.read(9)
    if not head:
        raise WeightsError("it is empty")
    if head[8:] == b"{":
        return _read_safetensors(path, int.from_bytes(head[:8], "little"))
    if head.startswith((ZIP_MARK, LEGACY_MARK)):
        if path.suffix == ".safetensors":  # torch.load goes by the name
            raise WeightsError("torch.save has written it, but it is named .safetensors; rename it to .pt")
        return _unwrap(read_torch_file(path))
    raise WeightsError("it is neither a safetensors file nor one that torch.save has written")


def _read_safetensors(path: Path, length: int) -> dict[str, Tensor]:
    if length > _LONGEST_HEADER:
        raise WeightsError(f"it says that its header has {length} bytes; at most {_LONGEST_HEADER} are read")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError("it is cut off or damaged, or it is not a safetensors file") from error


def _unwrap(content: object) -> dict[str, Tensor]:
    """Return the tensors of a state dict, also one that a script has put beside other things."""
    for _ in range(_MOST_WRAPPERS):
        inner = [content[key] for key in _WRAPPERS if isinstance(content, Mapping) and key in content]
        inner = [value for value in inner if isinstance(value, Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping):
        raise WeightsError(f"it holds no state dict, but a {type(content).__name__}")
    tensors = {name: t for name, t in content.items() if isinstance(name, str) and isinstance(t, Tensor)}
    if not tensors:
        raise WeightsError(f"it holds no tensors by name, also not under {', '.join(_WRAPPERS)}")
    return tensors
