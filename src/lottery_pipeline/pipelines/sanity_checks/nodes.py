"""Nodes of the sanity checks."""

from functools import partial
from typing import Any

from lottery_pipeline.options import SanityOptions
from lottery_pipeline.parameters import (
    METHOD_GROUPS,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
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
    checkpoints: Any,
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
    shared = {"device": device, "checkpoints": checkpoints, "allow_factory": model.name}
    rows: Rows = []
    for seed in sanity_checks.seeds:
        dense = dense_run
        if seed != dense_run.seed:
            log = partial(current().log_record, f"sanity_checks.dense_seed_{seed}")
            dense = pretrain_again(dense_run, images, seed=seed, on_record=log, **shared)
        for name, group in groups.items():
            search = Search(
                images,
                dense,
                retraining.recipe(pretraining),
                seed,
                on_record=partial(current().log_search, f"sanity_checks.{name}"),
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


def summarise_sanity(sanity_rows: Rows) -> tuple[Any, Any]:
    """Judge the checks over seeds: a table and a figure."""
    import pandas

    from lottery_pipeline.evaluation.verdicts import COLUMNS
    from lottery_pipeline.evaluation.verdicts import summarise_sanity as summarise
    from lottery_pipeline.reporting.sanity_figure import draw_sanity_checks

    summary = summarise(sanity_rows)
    return pandas.DataFrame(summary, columns=list(COLUMNS)), draw_sanity_checks(summary, sanity_rows)
