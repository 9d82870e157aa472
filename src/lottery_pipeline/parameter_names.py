"""Which parameters are names and paths: what was typed counts, whatever number it looks like."""

from collections.abc import Mapping
from typing import Any

from lottery_pipeline.parameters import RUNTIME_GROUPS, ParametersError

NAMES = (*sorted(RUNTIME_GROUPS.keys() - {"left_out"}), "model.name", "signature_embedding.owner")
OPTIONAL_NAMES = ("data.root", "model.weights", "tracking.register")  # null is a value of theirs
_ABSENT = object()


def check_names(given: Mapping[str, Any]) -> None:
    """Check the names among the parameters that a run is given, before they become names of folders.

    Args:
        given: as ``--params`` or a session has them, nested.

    Raises:
        ParametersError: a name is not text, or refers to another parameter; one sentence for each.
    """
    faults = []
    for name in (*NAMES, *OPTIONAL_NAMES):
        value: Any = given
        for key in name.split("."):
            value = value.get(key, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        if value is _ABSENT or (value is None and name in OPTIONAL_NAMES):
            continue
        if not isinstance(value, str):
            faults.append(
                f"Parameter {name} is {value!r}, which is not text and may not be what was written; "
                f"put the name in quotes, such as '0.10'."
            )
        elif "${" in value:
            faults.append(f"Parameter {name} is {value!r}; a name must not refer to another parameter.")
    if faults:
        raise ParametersError("\n".join(faults))
