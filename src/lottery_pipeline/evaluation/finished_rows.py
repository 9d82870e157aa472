"""Rows of a study of many trainings: each is kept as soon as it is known, and not made again after a kill."""

import logging
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from lottery_pipeline import __version__
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint

logger = logging.getLogger(__name__)

Row = dict[str, Any]


class FinishedRows:
    """The rows of one study, in one checkpoint file; unfinished trainings lie in a folder beside it.

    Args:
        checkpoints: where to save; None saves nothing.
        study: its name, with which the folder begins.
        identity: all that determines every row of the study, as plain JSON.
        level: at which a finished row is logged.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        study: str,
        identity: Mapping[str, Any],
        *,
        level: int = logging.INFO,
    ) -> None:
        self._level = level
        self._checkpoints, self._study = checkpoints, study
        self._own = fingerprint({"computation": study, "version": __version__, **identity})
        saved = None if checkpoints is None else checkpoints.load(self._own)
        self._rows: dict[str, Row] = {} if saved is None else saved[1]["rows"]
        self._folder = None if checkpoints is None else checkpoints.folder / f"{study}_{self._own[:16]}"

    def make(self, key: Mapping[str, Any], make: Callable[[Checkpoints | None], Row]) -> Row:
        """Return a row, which is made only if it is not known yet.

        Args:
            key: all that determines it beside the identity of the study, as plain JSON.
            make: given checkpoints for this row alone, which are removed once it is known.
        """
        name = fingerprint(key)
        if name not in self._rows:
            own = self.open(name[:16])
            self._rows[name] = make(own)
            words = ", ".join(str(value) for value in key.values() if isinstance(value, str))
            logger.log(self._level, "%s: %s is finished.", self._study, words)
            if self._checkpoints is not None:
                self._checkpoints.save(self._own, {}, {"rows": self._rows, "finished": True})
            if own is not None:
                shutil.rmtree(own.folder, ignore_errors=True)
        return dict(self._rows[name])

    def open(self, name: str) -> Checkpoints | None:
        """Return checkpoints in a folder of that name, for trainings that rows share."""
        if self._checkpoints is None or self._folder is None:
            return None
        return Checkpoints(self._folder / name, interval_seconds=self._checkpoints.interval_seconds)

    def close(self) -> None:
        """Remove what unfinished trainings have left; the rows stay."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
