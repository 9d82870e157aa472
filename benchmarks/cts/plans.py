"""The methods of the study: each has a plan that leaves a row for every density of a setting."""

from collections.abc import Callable
from typing import Any

from benchmarks.cts.rows import LADDERS, count_gaps, row_path, save_row
from benchmarks.cts.settings import RATE
from benchmarks.cts.task import Task
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.methods import METHODS
from lottery_pipeline.options import (
    CtsOptions,
    GraspOptions,
    ImpOptions,
    RandomOptions,
    SaliencyOptions,
    StartOptions,
    SynflowOptions,
)
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.sparsity.shuffling import shuffle_masks
from lottery_pipeline.tickets import Ticket
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.result import OnLabelledRecord


def climb(task: Task, method: str, start: str) -> None:
    """Prune by magnitude round by round; every rung that is looked at is a row, as soon as it is trained."""
    last = max(task.setting.rungs)
    if row_path(task, method, start, last).exists():
        return
    costs = {"search_epochs": 0.0, "search_seconds": 0.0}  # of the rungs before

    def record(kind: str, row: dict[str, Any]) -> None:
        if kind == "ladder":
            if row["rung"] in task.setting.rungs:
                result = {"test_accuracy": row["test_accuracy"], "kept": row["kept"], **costs}
                trained = {"train_epochs": row["epochs"], "train_seconds": row["seconds"]}
                save_row(task, method, start, row["rung"], {**result, **trained})
            for unit in ("epochs", "seconds"):
                costs[f"search_{unit}"] += row[unit]

    found = extract(task, LADDERS[start], ImpOptions(rounds=last, rate=RATE), record)
    train(task, method, start, last, found.ticket, costs)


def search(objective: str) -> Callable[[Task, str, str], None]:
    """Make the plan of a CTS objective: one search for each density."""

    def plan(task: Task, method: str, start: str) -> None:
        for rung in task.setting.rungs:
            options = CtsOptions(
                density=density_of(rung),
                start=start,
                objective=objective,
                length=task.setting.length,
                precision=task.setting.recipe.precision,
            )
            find_and_train(task, method, start, rung, "cts", options)

    return plan


def score(name: str, make_options: Callable[..., Any], **options: Any) -> Callable[[Task, str, str], None]:
    """Make the plan of a method without training; as published, it scores theta_0."""

    def plan(task: Task, method: str, start: str) -> None:
        for rung in task.setting.rungs:
            chosen = make_options(density=density_of(rung), start=start, **options)
            find_and_train(task, method, start, rung, name, chosen)

    return plan


PLANS: dict[str, Callable[[Task, str, str], None]] = {
    "cts_kl": search("kl_reverse"),
    "cts_l": search("task_loss"),
    "snip": score("snip", SaliencyOptions),
    "snip_1000": score("snip", SaliencyOptions, images_per_class=100),
    "grasp": score("grasp", GraspOptions),
    "synflow": score("synflow", SynflowOptions),
    "magnitude": score("magnitude", StartOptions),
    "random": score("random", RandomOptions, allocation="erk"),
    "random_uniform": score("random", RandomOptions, allocation="uniform"),
    "ladder": climb,
}


def density_of(rung: int) -> float:
    """Return 0.8^r with as many digits as it takes to keep floor(0.8^r D) weights."""
    return round((1 - RATE) ** rung, 12)


def extract(task: Task, name: str, options: Any, on_record: OnLabelledRecord | None = None) -> Extraction:
    """Find a ticket."""
    return METHODS[name](
        Search(
            task.images,
            task.dense,
            task.setting.recipe,
            seed=task.seed,
            device=task.device,
            checkpoints=task.checkpoints,
            on_record=on_record,
            allow_factory=task.setting.factory,
        ),
        options,
    )


def find_and_train(task: Task, method: str, start: str, rung: int, name: str, options: Any) -> None:
    """Find a ticket and train it, unless its row is there."""
    if not row_path(task, method, start, rung).exists():
        found = extract(task, name, options)
        if task.setting.shuffled and method == "cts_l":  # first: the ticket's own row says that all is done
            train(task, f"{method}_shuffled", start, rung, shuffle(task, found.ticket), found.costs)
        train(task, method, start, rung, found.ticket, found.costs)


def shuffle(task: Task, ticket: Ticket) -> Ticket:
    """Shuffle a ticket's mask inside each layer; its weights are those of the dense run."""
    return make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=shuffle_masks(ticket.masks, seed=task.seed, how="layer"),
        state=task.dense.rewind if ticket.header.rewind_step else task.dense.initial,
        seed=task.seed,
        rewind_step=ticket.header.rewind_step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents=ticket.header.parents,
        allow_factory=task.setting.factory,
    )


def train(task: Task, method: str, start: str, rung: int, ticket: Ticket, costs: dict[str, float]) -> None:
    """Train a ticket, measure it, and leave its row."""
    trained = retrain_ticket(
        ticket,
        task.images,
        task.setting.recipe,
        seed=task.seed,
        device=task.device,
        checkpoints=task.checkpoints,
        label=f"{method} {start} {rung} retraining",
    )
    place = pick_device(task.device)
    accuracy = evaluate(trained.ticket.build(), task.images.test, device=place)["accuracy"]
    row = {
        "test_accuracy": accuracy,
        "kept": ticket.kept,
        **count_gaps(ticket.masks),
        **costs,
        **trained.costs,
    }
    save_row(task, method, start, rung, row)
    task.checkpoints.clear_used()
