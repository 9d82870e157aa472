"""Checkpoints: long computations saved under their fingerprint, so a killed run resumes where it was."""

import json
import logging
import re
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lottery_pipeline.reproducibility.file_marks import FileMarks, is_used_elsewhere
from lottery_pipeline.reproducibility.files import (
    discard,
    remove_left_overs,
    replace_atomically,
    stat_regular,
)
from lottery_pipeline.reproducibility.fingerprints import fingerprint as fingerprint_record
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.storage import set_aside

logger = logging.getLogger(__name__)

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_STALE_SECONDS = 3600.0


class Checkpoints:
    """A folder of checkpoint files, one per fingerprint.

    A file is replaced atomically, so a kill at any moment leaves the old one or the new one. What a killed
    process left half-written is removed when the same computation starts again, or by any save an hour later.
    Several runs may use one folder: none removes what another process is writing or may resume from.

    Attributes:
        folder: where the files lie; made when the first is written.
        interval_seconds: least time between two saves of unfinished work (``is_due``).
        limit: largest number of files kept; the oldest go first, but never those that another process uses.
    """

    def __init__(self, folder: str | Path, *, interval_seconds: float = 15.0, limit: int = 16) -> None:
        self.folder = Path(folder)
        self.interval_seconds = interval_seconds
        self.limit = limit
        self._saved_at = time.monotonic()
        self._used: set[str] = set()
        self._marks = FileMarks()

    def path(self, fingerprint: str) -> Path:
        """Return the path of the checkpoint of this fingerprint.

        Raises:
            ValueError: this is not a fingerprint (64 lower-case hexadecimal characters).
        """
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise ValueError(f"a checkpoint is named by 64 hexadecimal characters, not {fingerprint!r}")
        return self.folder / f"{fingerprint}.safetensors"

    def is_due(self) -> bool:
        """Whether ``interval_seconds`` have passed since the last save of this object."""
        return time.monotonic() - self._saved_at >= self.interval_seconds

    def load(self, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read the checkpoint of a computation.

        Returns:
            Tensors on the CPU and the record, as they were saved; None if there is no usable file. A damaged
            or foreign file is set aside with a warning, and the computation starts over.
        """
        path = self.path(fingerprint)
        self._used.add(fingerprint)
        remove_left_overs(path)
        if not path.exists():
            return None
        try:
            stat_regular(path)
            with safe_open(path, framework="pt", device="cpu") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            text = metadata["checkpoint"]
            if metadata.get("sha256") != _checksum(text, tensors):
                raise ValueError("its content does not agree with its SHA-256 sum")
            content = json.loads(text)
            if content["fingerprint"] != fingerprint:
                raise ValueError("it belongs to another computation")
            record = dict(content["record"])
        except FileNotFoundError:  # another process has just removed it
            return None
        except OSError as error:
            logger.warning("The checkpoint %s cannot be read (%s); starting over.", path, error)
            return None
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            set_aside(path, error)
            return None
        self._marks.mark(path)
        return tensors, record

    def save(self, fingerprint: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
        """Write a checkpoint atomically and remove the oldest beyond the limit.

        Args:
            fingerprint: that of the computation.
            tensors: its state; may be on any device and share memory.
            record: plain JSON; ``finished: True`` marks a result.

        Returns:
            The path of the file.
        """
        path = self.path(fingerprint)
        self._used.add(fingerprint)
        content = json.dumps({"fingerprint": fingerprint, "record": dict(record)}, allow_nan=False)
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"checkpoint": content, "sha256": _checksum(content, on_cpu)}
        with replace_atomically(path) as temporary:
            save_file(without_shared_memory(on_cpu), temporary, metadata=metadata)
        self._marks.mark(path)
        self._saved_at = time.monotonic()
        self._remove_oldest(keep=path)
        return path

    def clear(self, fingerprint: str) -> None:
        """Remove the checkpoint of one computation, if there is one and no other process uses it."""
        _remove(self.path(fingerprint))
        remove_left_overs(self.path(fingerprint))
        self._used.discard(fingerprint)

    def clear_used(self) -> None:
        """Remove every checkpoint that this object has loaded, looked for or saved."""
        for fingerprint in list(self._used):
            self.clear(fingerprint)

    def clear_since(self, moment: float) -> None:
        """Remove what was saved since a moment, in seconds since 1970, and no other process uses."""
        for path in self.folder.glob("*.safetensors"):
            if _modified(path) >= moment:
                _remove(path)

    def _remove_oldest(self, keep: Path) -> None:
        now = time.time()
        # Older versions left unfinished files of safetensors itself, whose names begin with .tmp.
        for path in [*self.folder.glob(".*.safetensors.*.tmp"), *self.folder.glob(".tmp*")]:
            if now - _modified(path) > _STALE_SECONDS:
                discard(path)
        others = [path for path in self.folder.glob("*.safetensors") if path != keep]
        # Files that this run does not need go before those it may resume from.
        others.sort(key=lambda path: (path.stem in self._used, _modified(path)), reverse=True)
        for path in others[max(self.limit - 1, 0) :]:
            _remove(path)


@cache
def open_checkpoints(folder: Path, interval_seconds: float, limit: int) -> Checkpoints:
    """Return the checkpoints in a folder: the same object for all who ask in this process."""
    return Checkpoints(folder, interval_seconds=interval_seconds, limit=limit)


def without_shared_memory(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share storage with an earlier one (tied weights), which safetensors refuses."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.numel() * tensor.element_size()
        result[name] = tensor if whole and storage.data_ptr() not in seen else tensor.clone()
        seen.add(storage.data_ptr())
    return result


def _remove(path: Path) -> None:
    """Remove a checkpoint, unless another process may resume from it."""
    if not is_used_elsewhere(path):
        path.unlink(missing_ok=True)


def _checksum(content: str, tensors: Mapping[str, Tensor]) -> str:
    return fingerprint_record({"content": content, "tensors": fingerprint_tensors(tensors)})


def _modified(path: Path) -> float:
    """Time of the last change; 0 when another process has just removed the file."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
