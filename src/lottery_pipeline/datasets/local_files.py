"""What all datasets of this project share: one local file, written atomically, optionally versioned."""

from abc import abstractmethod
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, DatasetError, Version


class LocalFileDataset(AbstractVersionedDataset[Any, Any]):
    """One file. Subclasses say how it is read and written.

    Args:
        filepath: path of the file; with ``versioned: true`` a folder of that name holds the versions.
        missing_ok: ``load`` returns None if there is no file, for results that a run can do without.
        version: given by Kedro for versioned entries.
        metadata: for Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        missing_ok: bool = False,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(PurePosixPath(filepath), version)
        self.missing_ok = missing_ok
        self.metadata = metadata
        self._saved_version: str | None = None

    @property
    def path(self) -> Path:
        """The path in the catalog; the versions, if any, lie in a folder of this name."""
        return Path(self._filepath)

    def stored_path(self) -> Path:
        """Return the file that ``load`` reads: the pinned version, else this run's own, else the newest."""
        return Path(self._get_load_path())

    def load(self) -> Any:
        """Read the file; return None if it is missing and may be."""
        if self.missing_ok and not self.exists():
            return None
        path = self.stored_path()
        if not path.is_file():
            raise DatasetError(f"there is no file {path}")
        return self._read(path)

    def save(self, data: Any) -> None:
        """Write the file atomically."""
        self._write(Path(self._get_save_path()), data)
        self._saved_version = self.resolve_save_version()

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
    def _write(self, path: Path, data: Any) -> None: ...

    def _exists(self) -> bool:
        return self.stored_path().is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version, "missing_ok": self.missing_ok}
