"""Dataset for the records that are stored: those of this run and of earlier ones."""

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from lottery_pipeline.datasets.left_out import ENDING, LeftOut, read_note
from lottery_pipeline.datasets.previews import TablePreview, tabulate
from lottery_pipeline.evaluation.lineage import LineageError, collect_record
from lottery_pipeline.reproducibility.sums import ChangedFileError, check_sum, sum_json

logger = logging.getLogger(__name__)

RECORD = "record.json"
# Before there were records, a method left these files.
PARTS = ("metrics", "history", "trace", "ladder_table", "controls")


class StoredResultsDataset(AbstractDataset[None, dict[str, Callable[[], Any]]]):
    """A folder with a folder per block, each with a record; none of them is read before it is asked for.

    Args:
        filepath: the folder; it may be missing.
        metadata: for Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> dict[str, Callable[[], Any]]:
        """Return, by block, the function that reads its record; the record is None if it is not usable."""
        folders = sorted(path for path in Path(self._filepath).glob("*") if path.is_dir())
        readers: dict[str, Callable[[], Any]] = {
            folder.name: partial(read_record, folder)
            for folder in folders
            if any((folder / name).is_file() for name in (RECORD, f"{RECORD}{ENDING}", "metrics.json"))
        }
        rows = Path(self._filepath) / "sanity_rows.json"
        if rows.is_file():
            readers.setdefault("sanity_checks", partial(read_rows, rows))
        return readers

    def save(self, data: None) -> None:  # noqa: ARG002 (the signature is Kedro's)
        """Refuse: each block saves its own record."""
        raise DatasetError("stored results are saved by the blocks that make them")

    def preview(self) -> TablePreview:
        """Return a row per record for Kedro-Viz."""
        rows = []
        for name, read in self.load().items():
            record = read()
            metrics = {} if record is None or isinstance(record, LeftOut) else record.get("metrics", {})
            columns = ("test_accuracy", "density", "seed")
            rows.append({"block": name, **{column: metrics.get(column) for column in columns}})
        return tabulate(rows)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


def read_record(folder: Path) -> dict[str, Any] | LeftOut | None:
    """Read the record of a block, or the files that it left before there were records.

    Returns:
        The record, or why it was left out; None, with a warning, if a file is damaged or was changed after
        it was written, or if those files belong to different tickets.
    """
    return _read_usable(folder, lambda: read_note(folder / RECORD) or _collect(folder))


def read_rows(path: Path) -> dict[str, Any] | None:
    """Read a file of rows that belongs to no block, as ``read_record`` does."""
    return _read_usable(path, lambda: {"rows": _read(path)})


def _collect(folder: Path) -> dict[str, Any]:
    if (folder / RECORD).is_file():
        return dict(_read(folder / RECORD))
    files = {part: folder / f"{part}.json" for part in PARTS}
    return collect_record(**{part: _read(file) for part, file in files.items() if file.is_file()})


def _read_usable(place: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (LineageError, ChangedFileError, json.JSONDecodeError) as error:
        logger.warning("The results in %s are left out: %s.", place, error)
        return None


def _read(path: Path) -> Any:
    content = path.read_bytes()
    value = json.loads(content)
    check_sum(path, content, sum_json)
    return value
