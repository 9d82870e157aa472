"""Nodes of the sanity checks."""

import json
from functools import partial
from typing import Any

from lottery_pipeline.options import SanityOptions
from lottery_pipeline.parameters import (
    METHOD_GROUPS,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
    to_plain,
)
from lottery_pipeline.tracking import current

Rows = list[dict[str, Any]]


def check_sanity(
    images: Any,
    dense_run: Any,
    sanity_checks: SanityOptions,
    model: ModelParameters,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    parameters: dict[str, Any],
    device: str,
    work: WorkParameters,
) -> Rows:
    """Change tickets of some methods and train them again, for every seed, including the dense run's."""
    from lottery_pipeline.evaluation.sanity import check_sanity as check
    from lottery_pipeline.evaluation.sanity import pretrain_again
    from lottery_pipeline.methods import METHODS
    from lottery_pipeline.search.extraction import Search

    plain = to_plain(parameters)
    groups: dict[str, Any] = {
        name: METHOD_GROUPS[name].model_validate(plain[name]) for name in sanity_checks.methods
    }
    shared: dict[str, Any] = {
        "device": device,
        "checkpoints": work.open_checkpoints(),
        "allow_factory": model.name,
    }
    rows: Rows = []
    for seed in sanity_checks.seeds:
        dense = dense_run
        if seed != dense_run.seed:
            log = partial(current().log_row, "sanity_checks", f"dense_seed_{seed}")
            dense = pretrain_again(dense_run, images, seed=seed, on_record=log, **shared)
        for name, group in groups.items():
            search = Search(
                images,
                dense,
                retraining.recipe(pretraining),
                seed,
                on_record=partial(current().log_row, "sanity_checks"),
                **shared,
            )
            rows += check(
                search,
                method=name,
                extract=METHODS[name],
                options=group.extraction,
                checks=sanity_checks.checks,
            )
    return rows


def summarise_sanity(sanity_rows: Rows) -> Any:
    """Judge the checks over seeds, in a table."""
    import pandas

    from lottery_pipeline.evaluation import verdicts

    return pandas.DataFrame(verdicts.summarise_sanity(sanity_rows), columns=list(verdicts.COLUMNS))


def record_sanity(sanity_rows: Rows, sanity_checks_table: Any, device: str) -> dict[str, Any]:
    """Put the rows and the verdicts into one record, with how they were computed."""
    from lottery_pipeline.training.device import describe_device

    verdicts = json.loads(sanity_checks_table.to_json(orient="records"))
    return {"rows": sanity_rows, "verdicts": verdicts, "arithmetic": describe_device(device)}
