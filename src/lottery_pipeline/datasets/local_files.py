"""What all datasets of this project share: one local file, written atomically, optionally versioned."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from glob import escape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, DatasetError, Version

from lottery_pipeline.datasets.left_out import LeftOut, read_note, remove_note, write_note
from lottery_pipeline.reproducibility.files import remove_left_overs

if TYPE_CHECKING:
    from torch import Tensor

Recall = Callable[[], Any]  # returns what a reader of the file would get, without reading it
StandIn = Callable[[Exception], LeftOut | None]  # None: the error is not to be caught

HELD_BYTES = 2**26  # 64 MiB; the tickets of a run are many, and what is larger is soon read back


class LocalFileDataset(AbstractVersionedDataset[Any, Any]):
    """One file. Subclasses say how it is read and written.

    What a run has saved, it need not read back: ``load`` returns it from memory until Kedro releases the
    dataset, which the runner does once no node needs it any more. Only ``save`` fills this memory, so a
    catalog that only reads always shows the file. What is large is read back all the same.

    A ``LeftOut`` may be saved and loaded in place of every content. It becomes a note beside the file, which
    then does not exist for anybody who does not pin a version, until there is a new one.

    Attributes:
        stand_in: what takes the place of a content that cannot be written or read; a run that can do without
            it sets this.
        made_by: for the sentence about a missing file: what makes it; empty if a pipeline does.

    Args:
        filepath: path of the file; with ``versioned: true`` a folder of that name holds the versions.
        missing_ok: ``load`` returns None if there is no file, for results that a run can do without; to save
            None removes the file.
        version: given by Kedro for versioned entries.
        metadata: for Kedro-Viz.
    """

    stand_in: StandIn | None = None
    made_by = ""

    def __init__(
        self,
        *,
        filepath: str,
        missing_ok: bool = False,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        # With its default, a folder such as "runs[1]" would be a pattern.
        super().__init__(PurePosixPath(filepath), version, glob_function=_find_versions)
        self.missing_ok = missing_ok
        self.metadata = metadata
        self._saved_version: str | None = None
        self._recall: Recall | None = None

    @property
    def path(self) -> Path:
        """The path in the catalog; the versions, if any, lie in a folder of this name."""
        return Path(self._filepath)

    @property
    def is_versioned(self) -> bool:
        """Whether the file has versions."""
        return self._version is not None

    def stored_path(self) -> Path:
        """Return the file that ``load`` reads: the pinned version, else this run's own, else the newest."""
        return Path(self._get_load_path())

    def load(self) -> Any:
        """Return what this run saved, else read the file; return None if it is missing and may be."""
        try:
            return self._recall_or_read()
        except Exception as error:
            left_out = self.stand_in and self.stand_in(error)
            if left_out is None:
                raise
            write_note(self.path, left_out)
            return left_out

    def _recall_or_read(self) -> Any:
        pinned = self._version.load if self._version else None
        if self._recall is not None and pinned in (None, self._saved_version):
            return self._recall()
        if (left_out := self.left_out()) is not None:
            return left_out
        if self.missing_ok and not self.exists():
            return None
        path = self.stored_path()
        if not path.is_file():
            raise DatasetError(f"there is no file {path}")
        return self._read(path)

    def save(self, data: Any) -> None:
        """Write the file atomically; None, if there may be no file, removes it (versions stay)."""
        if isinstance(data, LeftOut):
            write_note(self.path, data)
            self._recall = lambda: data
            return
        if data is None:
            if not self._version:
                self._remove(self.path)
            self._recall = lambda: None
        else:
            self._recall = self._write(Path(self._get_save_path()), data)
            self._saved_version = self.resolve_save_version()
        remove_note(self.path)

    def left_out(self) -> LeftOut | None:
        """Return why there is no content to load; None if there may be one.

        Raises:
            ChangedFileError: the note that says so was changed after it was written.
        """
        return None if self._version and self._version.load else read_note(self.path)

    def check(self) -> None:
        """Check what is stored and has a sum beside it, before work begins that will read it.

        Raises:
            ChangedFileError: it was changed after it was written.
        """
        self.left_out()

    def remove_left_overs(self) -> None:
        """Remove versions that killed runs have begun; for use by the one run that writes this file."""
        for version in self.path.glob("*") if self._version else ():
            if version.is_dir():
                remove_left_overs(version / self.path.name)
                if not any(version.iterdir()):
                    version.rmdir()

    def resolve_load_version(self) -> str | None:
        """Return the version to read; once this run has written one, it ignores newer ones of other runs.

        The file system also shows what this run wrote, because workers do not share this object.
        """
        if self._version and not self._version.load:
            own = self._saved_version or self._version.save
            if own and Path(self._get_versioned_path(own)).is_file():
                return str(own)
        return super().resolve_load_version()

    @abstractmethod
    def _read(self, path: Path) -> Any: ...

    @abstractmethod
    def _write(self, path: Path, data: Any) -> Recall | None:
        """Write the file; return how to get its content from memory, None to read it back."""

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    @classmethod
    def _save_wrapper(cls, save_func: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        wrapped = super()._save_wrapper(save_func)

        @wraps(save_func)
        def save(self: "LocalFileDataset", data: Any) -> None:
            # Kedro refuses to save None, whatever the dataset means by it, and expects a version of a note.
            own = isinstance(data, LeftOut) or (data is None and self.missing_ok)
            try:
                (save_func if own else wrapped)(self, data)
            except Exception as error:
                left_out = self.stand_in and self.stand_in(error)
                if left_out is None:
                    raise
                save_func(self, left_out)

        # Kedro forgets this mark, so each level of subclasses wraps again, and may draw another version.
        vars(save)["__savewrapped__"] = True
        return save

    def _release(self) -> None:
        super()._release()
        self._recall = None

    def __getstate__(self) -> dict[str, Any]:
        # A worker process reads the file: sending it the content would cost more.
        return {**self.__dict__, "_recall": None}

    def _exists(self) -> bool:
        return self.left_out() is None and self.stored_path().is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version, "missing_ok": self.missing_ok}


def hold(data: Any, *parts: "Mapping[str, Tensor]") -> Recall | None:
    """Return how to get from memory what its tensors make no larger than ``HELD_BYTES``; None otherwise.

    Args:
        data: what was written.
        *parts: its tensors by name.
    """
    size = sum(tensor.nbytes for part in parts for tensor in part.values())
    return (lambda: data) if size <= HELD_BYTES else None


def _find_versions(pattern: str) -> list[str]:
    """Return the paths ``<folder>/<version>/<name>`` of the pattern ``<folder>/*/<name>``."""
    folder, name = Path(pattern).parents[1], Path(pattern).name
    return [str(path) for path in folder.glob(f"*/{escape(name)}")]
