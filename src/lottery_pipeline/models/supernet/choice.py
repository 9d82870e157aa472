"""Which supernet a user means: a preset, a file, or a configuration of their own. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from lottery_pipeline.models.names import ModelError, suggest
from lottery_pipeline.models.supernet.config import Supernet, Task
from lottery_pipeline.models.supernet.presets import PRESETS


def choose_supernet(choice: str | Mapping[str, Any], *, task: Task = "classification") -> Supernet:
    """Return the configuration that a user has chosen, with the head that their images need.

    Args:
        choice: a preset, or a configuration.
        task: of the images. A head for another task is replaced by the standard one.

    Raises:
        ModelError: there is no such preset, or the configuration is not valid; one sentence.
    """
    if isinstance(choice, str):
        if choice not in PRESETS:
            raise ModelError(
                f"unknown supernet {choice!r}{suggest(choice, tuple(PRESETS))}; "
                f"allowed are {', '.join(PRESETS)}"
            )
        supernet = PRESETS[choice]
    else:
        try:
            supernet = Supernet.model_validate(dict(choice))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "supernet"
            raise ModelError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from error
    return supernet if supernet.head.task == task else supernet.for_task(task)
