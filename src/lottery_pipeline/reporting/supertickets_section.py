"""The report's section on SuperTickets compared: the arms of the search, and transfer between tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from lottery_pipeline.options.supertickets_study import ARMS
from lottery_pipeline.reporting.metric import name_metric
from lottery_pipeline.reporting.supertickets_study_figure import label_arm
from lottery_pipeline.reporting.supertickets_transfer_figure import ARM_LABELS

Rows = Sequence[Mapping[str, Any]]


def describe_arms(summary: Rows) -> dict[str, Any] | None:
    """Collect what the report says about the arms.

    Args:
        summary: as ``summarise_arms`` makes it.

    Returns:
        For the template: ``metric``, ``seeds``, ``rows`` of the table with a ``label``, and ``arms``, which
        has pairs of label and sentence. None without a summary.
    """
    if not summary:
        return None
    names = dict.fromkeys(str(line["arm"]) for line in summary)
    return {
        "metric": name_metric(summary),
        "seeds": max(line["seeds"] for line in summary),
        "rows": [{**line, "label": label_arm(line["arm"])} for line in summary],
        "arms": [(ARMS[name].label, ARMS[name].sentence) for name in names if name in ARMS],
    }


def describe_transfers(summary: Rows) -> dict[str, Any] | None:
    """Collect what the report says about transfers.

    Args:
        summary: as ``summarise_transfer`` makes it.

    Returns:
        For the template: ``seeds``, and ``pairs``: ``title`` and ``rows`` of a table for each source and
        target, rows with a ``label``. None without a summary.
    """
    if not summary:
        return None
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in summary:
        label = ARM_LABELS.get(line["arm"], str(line["arm"]))
        pairs.setdefault((line["source"], line["target"]), []).append({**line, "label": label})
    return {
        "seeds": max(line["seeds"] for line in summary),
        "pairs": [
            {
                "title": f"{source} to {target}" if source != target else f"{target} itself",
                "metric": rows[0]["metric"],
                "rows": rows,
            }
            for (source, target), rows in pairs.items()
        ],
    }
