"""Which supernet a user means: a preset, or a configuration of their own. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from lottery_pipeline.models.names import SUPERNET_PREFIX, ModelError, suggest
from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.options.faults import describe_faults
from lottery_pipeline.options.task import TaskName

PLACE = "supertickets.extraction.supernet"  # of the choice, among the parameters


def choose_supernet(choice: str | Mapping[str, Any], *, task: TaskName = "classification") -> Supernet:
    """Return the configuration that a user has chosen, with the head that their images need.

    Args:
        choice: a preset, or a configuration.
        task: of the images. A head for another task is replaced by the standard one.

    Raises:
        ModelError: there is no such preset, or the configuration is not valid; one sentence.
    """
    supernet = _find_preset(choice) if isinstance(choice, str) else _read_configuration(choice)
    return supernet if supernet.head.task == task else supernet.for_task(task)


def _find_preset(name: str) -> Supernet:
    if name in PRESETS:
        return PRESETS[name]
    file = name.removeprefix(SUPERNET_PREFIX)
    if file.endswith(".json"):
        raise ModelError(
            f"{PLACE} is {name!r}, but a file is named in model.name: set model.name to "
            f"{SUPERNET_PREFIX}{file} and {PLACE} to null"
        )
    raise ModelError(
        f"{PLACE}: unknown supernet {name!r}{suggest(name, tuple(PRESETS))}; allowed are {', '.join(PRESETS)}"
    )


def _read_configuration(values: Mapping[str, Any]) -> Supernet:
    required = [key for key, field in Supernet.model_fields.items() if field.is_required()]
    if missing := [key for key in required if key not in values]:
        raise ModelError(
            f"{PLACE} lacks {' and '.join(missing)}: a configuration of your own must be given whole (at "
            f"least {', '.join(required)}); or start from a preset: {', '.join(PRESETS)}"
        )
    try:
        return Supernet.model_validate(dict(values))
    except ValidationError as error:
        fault = next(describe_faults(PLACE, Supernet, error))
        raise ModelError(fault.removeprefix("Parameter ").rstrip(".")) from error
