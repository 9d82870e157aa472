"""Dataset for the raw images: where they are looked for."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class RawImagesDataset(AbstractDataset[None, Path]):
    """The folder that a relative ``data.root`` starts at; parameter ``data`` says what is read there.

    Args:
        filepath: the folder.
        metadata: for Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> Path:
        """Return the folder."""
        return Path(self._filepath)

    def save(self, data: None) -> None:  # noqa: ARG002 (the signature is Kedro's)
        """Refuse: raw images are only read."""
        raise DatasetError("raw images are not written by this project")

    def _exists(self) -> bool:
        return self.load().is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
