"""The report's section on the architecture that a joint search has found: numbers, table, what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.blocks import (
    TOKENS,
    is_gone,
    list_groups,
    share_macs,
    short_name,
)
from lottery_pipeline.reporting.metric import name_metric, put_metric
from lottery_pipeline.reproducibility.measured import flatten_record

Row = Mapping[str, Any]
FILE = "architecture.json"


def describe_architecture(
    metrics: Row, blocks: Sequence[Row], *, folder: str, experiment: str
) -> dict[str, Any]:
    """Collect what the report says about the architecture that a joint search has found.

    Args:
        metrics: of its ticket.
        blocks: as ``tabulate_blocks`` makes them.
        folder: of its file ``architecture.json``, as the command should name it.
        experiment: of the run.

    Returns:
        For the template: ``sentence``, ``rows`` of the table, ``gone`` (names of blocks that have vanished)
        and ``command``, which makes this architecture the network of a run.
    """
    return {
        "sentence": _summarise(flatten_record(metrics)),
        "rows": [_describe_row(row) for row in blocks],
        "gone": [short_name(row) for row in blocks if row["supernet_kernels"] and is_gone(row)],
        # A method that any network can have, and a variant, so that this run's results stay.
        "command": (
            f"kedro run{'' if experiment == 'base' else f' --env {experiment}'} --pipelines snip,reporting "
            f'--params "model.name=supernet:{folder}/{FILE},variant=found"'
        ),
    }


def _summarise(record: Row) -> str:
    weights = f"{fmt.whole(record['kept'])} of D = {fmt.whole(record['prunable'])} weights"
    executed, exact = (
        _share(record[f"macs_{kind}"], record["macs_dense"]) for kind in ("executed", "theoretical")
    )
    accuracy = f"its accuracy is {fmt.percent(record['test_accuracy'])}"
    if not fmt.is_missing(record.get("found_accuracy")):
        accuracy = (
            f"its accuracy is {fmt.percent(record['found_accuracy'])} as found and "
            f"{fmt.percent(record['test_accuracy'])} retrained"
        )
    return put_metric(
        f"The ticket keeps {weights} of the supernet. With channels that its mask leaves empty taken out "
        f"too, it executes {executed} of the supernet's multiply-accumulates; {exact} would be enough if "
        f"every masked weight could be skipped. On the test images {accuracy}; "
        f"that of the whole supernet is {fmt.percent(record['dense_accuracy'])}.",
        name_metric([record]),
    )


def _share(part: Any, whole: Any) -> str:
    return fmt.DASH if fmt.is_missing(part) or not whole else fmt.density(part / whole)


def _describe_row(row: Row) -> dict[str, Any]:
    searchable = bool(row["supernet_kernels"])
    groups = list_groups(row)
    kernels = {kind: group for kind, group in groups.items() if kind != TOKENS}
    return {
        "name": short_name(row),
        "kernels": " ".join(kind for kind, (left, _) in kernels.items() if left),
        "hidden": " ".join(str(left) for left, _ in kernels.values() if left),
        "supernet": " ".join(str(full) for _, full in kernels.values()),
        "tokens": groups.get(TOKENS),
        "gone": searchable and is_gone(row),
        "macs": row["macs"],
        "share": share_macs(row),
        "kept": row["kept"],
        "density": row["density"],
    }
