"""The arms of the SuperTickets study, trained: what each part of the joint search is worth.

Baselines and ablations of arXiv 2207.03677. Every arm starts from the same theta_0 of its seed and trains
with the same recipe. An arm is measured as its search leaves it, and once more after a retraining with its
masks on; that takes twice as many epochs, so two arms train for as long without being retrained.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from lottery_pipeline.evaluation.finished_rows import FinishedRows, Row
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.evaluation.sizes import count_size, keep_everything
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_study import ARMS, Arm, StudyOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.parents import check_spec
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord
from lottery_pipeline.training.tasks import TASKS

FOLDER = "superticket_arms"


@dataclass(frozen=True, eq=False)
class ArmStudy:
    """What a study of the arms compares.

    Attributes:
        images: trained and measured on.
        spec: of the whole supernet.
        recipe: of every training.
        extraction: options of the reference; an arm changes some of them.
        options: which arms, and whether they are retrained.
        extract: ``extract_supertickets``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        match: the network whose weights ``density_of: model`` counts.
        allow_factory: the trusted ``package.module:factory``, if ``match`` is one.
    """

    images: ImageSplits
    spec: ModelSpec
    recipe: Recipe
    extraction: SuperticketOptions
    options: StudyOptions
    extract: Callable[[Search, Any], Extraction]
    device: str = "auto"
    match: ModelSpec | None = None
    allow_factory: str | None = None


def study_arms(
    study: ArmStudy,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
) -> list[Row]:
    """Train the arms; one call is one seed, which has a supernet of its own.

    Args:
        study: what is compared.
        seed: of everything that is drawn.
        checkpoints: where to save; an arm that is finished is not trained again.
        on_record: called as ``on_record("zero_search_seed_0", row)`` with every history row of every
            training.

    Returns:
        A row for each arm, in the order of ``ARMS``: ``arm``, ``seed``, ``metric`` (what the accuracies are),
        ``found_accuracy`` and ``found_validation_accuracy`` as the search has left the network,
        ``retrained_accuracy`` and ``retrained_validation_accuracy`` (None for an arm that is not retrained),
        the columns of ``count_size``, ``search_epochs``, ``train_epochs`` (0 without retraining), ``epochs``
        in all, and ``seconds`` of all trainings. The supernet's own training is not part of a search: only
        its theta_0 is used.

    Raises:
        TicketError: images, supernet and options do not fit together.
        ValueError: the extraction has no search or no pruning.
    """
    check_spec(study.spec, study.images, "the supernet")
    finished = FinishedRows(
        checkpoints,
        FOLDER,
        {
            "images": study.images.fingerprint,
            "spec": study.spec.model_dump(mode="json"),
            "match": None if study.match is None else study.match.model_dump(mode="json"),
            "recipe": study.recipe.record(),
            "seed": seed,
        },
    )
    dense = cache(partial(_pretrain, study, None, "dense", seed, on_record, finished.open("dense")))
    rows = []
    for arm in (arm for name, arm in ARMS.items() if name in study.options.arms):
        options = arm.options(study.extraction, _count_long(study) if arm.is_long else None)
        key = {
            "arm": arm.name,
            "options": options.model_dump(mode="json"),
            "retrain": _is_retrained(study, arm),
        }
        make = _train_supernet if arm.changes is None else _train_arm
        rows.append(finished.make(key, partial(make, study, arm, options, dense, seed, on_record)))
    finished.close()
    return rows


def _count_long(study: ArmStudy) -> int:
    """Return the epochs of search and retraining together."""
    count = len(study.images.train)
    training = math.ceil(study.recipe.total_steps(count) / study.recipe.steps_per_epoch(count))
    return (study.extraction.epochs or training) + training


def _is_retrained(study: ArmStudy, arm: Arm) -> bool:
    return study.options.retrain and arm.changes is not None and not arm.is_long


def _pretrain(
    study: ArmStudy,
    epochs: int | None,
    name: str,
    seed: int,
    on_record: OnLabelledRecord | None,
    checkpoints: Checkpoints | None,
) -> DenseRun:
    return pretrain(
        study.images,
        study.spec,
        study.recipe if epochs is None else study.recipe.replace(epochs=epochs),
        rewind_epoch=0,
        seed=seed,
        device=study.device,
        checkpoints=checkpoints,
        on_record=None if on_record is None else partial(on_record, f"{name}_seed_{seed}"),
        label=f"{name} seed {seed}",
    )


def _train_supernet(
    study: ArmStudy,
    arm: Arm,
    options: SuperticketOptions,
    dense: Callable[[], DenseRun],
    seed: int,
    on_record: OnLabelledRecord | None,
    checkpoints: Checkpoints | None,
) -> Row:
    run = dense()
    if arm.is_long:
        run = _pretrain(study, options.epochs, arm.name, seed, on_record, checkpoints)
    times = {"search_epochs": run.metrics["epochs"], "seconds": run.metrics["seconds"]}
    return _describe(study, arm, seed, keep_everything(run), None, times)


def _train_arm(
    study: ArmStudy,
    arm: Arm,
    options: SuperticketOptions,
    dense: Callable[[], DenseRun],
    seed: int,
    on_record: OnLabelledRecord | None,
    checkpoints: Checkpoints | None,
) -> Row:
    def tell(part: str) -> Callable[[Row], None] | None:
        return None if on_record is None else partial(on_record, f"{arm.name}_{part}_seed_{seed}")

    told = tell("search")
    search = Search(
        study.images,
        dense(),
        study.recipe,
        seed,
        device=study.device,
        checkpoints=checkpoints,
        on_record=None if told is None else lambda _, row: told(row),
        allow_factory=study.allow_factory,
        match=study.match,
    )
    found = study.extract(search, options)
    times = {"search_epochs": found.search_epochs, "seconds": found.search_seconds}
    if not _is_retrained(study, arm):
        return _describe(study, arm, seed, found.ticket, None, times)
    trained = retrain_ticket(
        found.ticket,
        study.images,
        study.recipe,
        seed=seed,
        device=study.device,
        checkpoints=checkpoints,
        on_record=tell("retraining"),
        label=f"{arm.name} retraining seed {seed}",
    )
    times |= {"train_epochs": trained.epochs, "seconds": times["seconds"] + trained.seconds}
    return _describe(study, arm, seed, found.ticket, trained.ticket, times)


def _describe(
    study: ArmStudy, arm: Arm, seed: int, found: Ticket, trained: Ticket | None, times: dict[str, float]
) -> Row:
    train_epochs = times.get("train_epochs", 0.0)
    return {
        "arm": arm.name,
        "seed": seed,
        "metric": TASKS[study.images.task].metric,
        **_measure(study, found, "found"),
        **_measure(study, trained, "retrained"),
        **count_size(found),
        "search_epochs": times["search_epochs"],
        "train_epochs": train_epochs,
        "epochs": times["search_epochs"] + train_epochs,
        "seconds": times["seconds"],
    }


def _measure(study: ArmStudy, ticket: Ticket | None, name: str) -> Row:
    place, images = pick_device(study.device), study.images
    parts = {f"{name}_accuracy": images.test, f"{name}_validation_accuracy": images.validation}
    model = None if ticket is None else ticket.build(place)
    return {
        column: None if model is None or not len(part) else evaluate(model, part, device=place)["accuracy"]
        for column, part in parts.items()
    }
