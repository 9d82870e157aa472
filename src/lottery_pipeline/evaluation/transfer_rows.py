"""A study of transfer: SuperTickets of several tasks, each moved to every other, beside its controls.

All networks of a target are trained with the same recipe, for as many epochs, in the same order of images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from lottery_pipeline.evaluation.finished_rows import FinishedRows, Row
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.evaluation.sizes import count_size, keep_everything
from lottery_pipeline.evaluation.transfer import BACKBONE, draw_control, transfer_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord
from lottery_pipeline.training.tasks import TASKS

FOLDER = "transfer"
SUPERNET, DIRECT, TRANSFERRED = "supernet", "direct", "transferred"


@dataclass(frozen=True, eq=False)
class TransferStudy:
    """What a study of transfer compares.

    Attributes:
        images: by task; of one size, with equal channels.
        spec: of the whole supernet, for images of any of these tasks.
        recipe: of every training.
        extraction: options of the searches.
        options: tasks, head and controls.
        extract: ``extract_supertickets``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    images: Mapping[str, ImageSplits]
    spec: ModelSpec
    recipe: Recipe
    extraction: SuperticketOptions
    options: TransferOptions
    extract: Callable[[Search, Any], Extraction]
    device: str = "auto"


def study_transfer(
    study: TransferStudy,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
) -> list[Row]:
    """Find a SuperTicket for each task, move it to the others, and train all with their controls; one seed.

    Args:
        study: what is compared.
        seed: of everything that is drawn.
        checkpoints: where to save; a row that is finished is not made again.
        on_record: called as ``on_record("segmentation_to_keypoints_dense_seed_0", row)`` with every history
            row of every training.

    Returns:
        A row for each source, target and arm: ``transferred`` and its controls. Where source and target are
        the same, ``supernet`` is the whole supernet and ``direct`` the ticket that was found for the task.
        Columns: ``source``, ``target``, ``arm``, ``seed``, ``metric`` (what ``accuracy`` is), ``accuracy`` on
        test images, ``validation_accuracy``, ``early_loss`` (validation loss after a third of the steps, or
        training loss without validation images), those of ``count_size``, ``epochs`` and ``seconds`` of the
        training on the target.

    Raises:
        TicketError: tickets, images or options do not fit together.
    """
    if study.extraction.pruning is not None and study.extraction.density_of != "supernet":
        raise TicketError(
            "supertickets.extraction.density_of must be supernet for a transfer, because the network of "
            "model.name differs between tasks"
        )
    finished = FinishedRows(
        checkpoints,
        FOLDER,
        {
            "images": {task: images.fingerprint for task, images in study.images.items()},
            "spec": study.spec.model_dump(mode="json"),
            "recipe": study.recipe.record(),
            "extraction": study.extraction.model_dump(mode="json"),
            "seed": seed,
        },
    )
    rows: list[Row] = []
    for source in study.options.tasks:
        found = cache(partial(_find_source, study, source, seed, finished.open(source), on_record))
        for target in (source, *(task for task in study.options.tasks if task != source)):
            for arm in list_arms(study.options, source, target):
                key: dict[str, Any] = {"source": source, "target": target, "arm": arm}
                if source != target:
                    key |= {"head": study.options.head, "freeze": study.options.freeze and arm == TRANSFERRED}
                rows.append(finished.make(key, partial(_make_row, study, found, key, seed, on_record)))
    finished.close()
    return rows


def list_arms(options: TransferOptions, source: str, target: str) -> tuple[str, ...]:
    """Return the arms of a source and a target, in order."""
    if source == target:
        return (SUPERNET, DIRECT) if DIRECT in options.controls else (SUPERNET,)
    return (TRANSFERRED, *(control for control in options.controls if control != DIRECT))


def loss_after_a_third(history: Sequence[Mapping[str, Any]], steps: int) -> float:
    """Return the loss in the first history row after a third of all steps.

    Args:
        history: of a training.
        steps: of the whole training.
    """
    row = next(row for row in history if 3 * row["step"] >= steps)
    return float(row["train_loss"] if row["validation_loss"] is None else row["validation_loss"])


Found = Callable[[], tuple[DenseRun, Extraction]]


def _find_source(
    study: TransferStudy,
    task: str,
    seed: int,
    checkpoints: Checkpoints | None,
    on_record: OnLabelledRecord | None,
) -> tuple[DenseRun, Extraction]:
    """Train the whole supernet for a task, and find a SuperTicket in it."""
    images = study.images[task]

    def tell(part: str) -> Callable[[Row], None] | None:
        return None if on_record is None else partial(on_record, f"{task}_{part}_seed_{seed}")

    spec = _specify(study.spec, images)
    dense = pretrain(
        images,
        spec,
        study.recipe,
        rewind_epoch=0,
        seed=seed,
        device=study.device,
        checkpoints=checkpoints,
        on_record=tell(SUPERNET),
        label=f"{task} supernet",
    )
    told = tell("search")
    search = Search(
        images,
        dense,
        study.recipe,
        seed,
        device=study.device,
        checkpoints=checkpoints,
        on_record=None if told is None else lambda _, row: told(row),
    )
    return dense, study.extract(search, study.extraction)


def _specify(spec: ModelSpec, images: ImageSplits) -> ModelSpec:
    """Return the whole supernet for images of another task."""
    if spec.supernet is None:
        raise TicketError(f"a SuperTicket is found in a supernet, not in {spec.name}")
    return spec.restored().model_copy(
        update={
            "num_classes": images.num_classes,
            "channels": images.channels,
            "image_size": images.image_size,
            "mean": images.mean,
            "std": images.std,
            "supernet": spec.supernet.for_task(images.task),
        }
    )


def _make_row(
    study: TransferStudy,
    found: Found,
    key: Mapping[str, Any],
    seed: int,
    on_record: OnLabelledRecord | None,
    checkpoints: Checkpoints | None,
) -> Row:
    source, target, arm = (str(key[name]) for name in ("source", "target", "arm"))
    images, place = study.images[target], pick_device(study.device)
    if arm == SUPERNET:
        dense, _ = found()
        ticket, history = keep_everything(dense), dense.history
        times = {"epochs": dense.metrics["epochs"], "seconds": dense.metrics["seconds"]}
    else:
        label = f"{source}_to_{target}_{arm}_seed_{seed}"
        trained = retrain_ticket(
            _prepare(study, found, target, arm, seed),
            images,
            study.recipe,
            seed=seed,
            device=study.device,
            checkpoints=checkpoints,
            on_record=None if on_record is None else partial(on_record, label),
            label=label.replace("_", " "),
            frozen_modules=BACKBONE if key.get("freeze") else (),
        )
        ticket, history = trained.ticket, trained.history
        times = {"epochs": trained.epochs, "seconds": trained.seconds}
    return {
        "source": source,
        "target": target,
        "arm": arm,
        "seed": seed,
        "metric": TASKS[target].metric,
        "accuracy": evaluate(ticket.build(place), images.test, device=place)["accuracy"],
        "validation_accuracy": history[-1]["validation_accuracy"],
        "early_loss": loss_after_a_third(history, study.recipe.total_steps(len(images.train))),
        **count_size(ticket),
        **times,
    }


def _prepare(study: TransferStudy, found: Found, target: str, arm: str, seed: int) -> Ticket:
    """Return the ticket of an arm, before it is trained on the target."""
    _, extraction = found()
    if arm == DIRECT:
        return extraction.ticket
    head = study.options.head
    images = study.images[target]
    whole = _specify(study.spec, images).supernet
    fresh_head = None if whole is None else whole.head
    moved = transfer_ticket(extraction.ticket, images, head=head, seed=seed, fresh_head=fresh_head)
    if arm == TRANSFERRED:
        return moved
    assert extraction.ladder is not None  # noqa: S101 (a joint search leaves one)
    return draw_control(moved, arm, unmasked=extraction.ladder.state, head=head, seed=seed)
