"""How configuration is read: as by Kedro, with the experiment named by ``--env``."""

import os
from typing import Any

from kedro.config import OmegaConfigLoader


class ExperimentConfigLoader(OmegaConfigLoader):
    """Kedro's loader with one more global: ``experiment``, the name of the environment, or ``base``.

    Were it written into each ``globals.yml``, a new experiment that forgets it would overwrite the results of
    another.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self["globals"] = {**self._globals, "experiment": self.env or self.base_env}


def read_environment(name: str, default: str) -> str:
    """Return an environment variable, for ``${oc.env:NAME,default}``; an empty one counts as absent."""
    return os.environ.get(name) or default
