"""What the report says of theta_0 where a user has brought it."""

from collections.abc import Mapping
from typing import Any

from lottery_pipeline.models.weights.record import WeightsRecord, describe_weights
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.metric import name_metric


def describe_theta_0(dense_record: Mapping[str, Any]) -> str:
    """Say which file theta_0 is, what was taken from it, and what it can do untrained here.

    Args:
        dense_record: of the dense run.

    Returns:
        A few sentences; empty if theta_0 was drawn from the seed.
    """
    if "weights" not in dense_record:
        return ""
    metrics = dense_record["metrics"]
    accuracy = fmt.percent(metrics["theta_0_accuracy"])
    taken = describe_weights(WeightsRecord.model_validate(dense_record["weights"]))
    return f"{taken} At theta_0, before any training here, its test {name_metric([metrics])} is {accuracy}."
