"""The name of the headline number: accuracy for classes, mIoU for masks, PCK for keypoints.

All three are fractions and lie under the same keys of the records (``test_accuracy``); ``metric`` names them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

ACCURACY = "accuracy"


def name_metric(records: Iterable[Mapping[str, Any] | None]) -> str:
    """Return the name of the headline number; records of one run share their images, so the first decides."""
    names = (record.get("metric") for record in records if record is not None)
    return next((name for name in names if isinstance(name, str) and name), ACCURACY)


def put_metric(text: str, metric: str) -> str:
    """Put the name of the headline number in place of the word accuracy, small or capital."""
    return text if metric == ACCURACY else text.replace("accuracy", metric).replace("Accuracy", metric)
