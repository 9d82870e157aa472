"""The table of the arms of the SuperTickets study, and which of them a run trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from lottery_pipeline.options.lists import DISTINCT, Group
from lottery_pipeline.options.supertickets import SuperticketOptions

REFERENCE = "two_in_one"  # what the other arms are compared with
# An interval longer than any training: the last event, which always comes, is the only one.
_NEVER = 1_000_000
# What the reference does. Intervals, rho and density are those of ``supertickets.extraction``.
_REFERENCE_CHANGES: dict[str, dict[str, Any]] = {
    "search": {"start": 0.0},
    "pruning": {
        "end": 1.0,
        "progressive": True,
        "reactivation": "every_search",
        "pruned_value": "keep",
        "compete": "raw",
        "scores": "magnitude",
    },
}


@dataclass(frozen=True)
class Arm:
    """One way to get from a supernet to a network.

    Attributes:
        name: in parameters and rows.
        label: in print.
        sentence: what it does.
        changes: to the options of the reference, by part (``search``, ``pruning``); a part that is None does
            not happen. None trains the whole supernet and searches nothing.
        is_long: whether it takes as many epochs as search and retraining of the other arms together, and is
            not retrained.
    """

    name: str
    label: str
    sentence: str
    changes: Mapping[str, Mapping[str, Any] | None] | None
    is_long: bool = False

    def options(self, extraction: SuperticketOptions, epochs: int | None = None) -> SuperticketOptions:
        """Return the options of its search.

        Args:
            extraction: ``supertickets.extraction``.
            epochs: of the search; by default those of the extraction.

        Raises:
            ValueError: the extraction has no search or no pruning that an arm could change.
        """
        for part in _REFERENCE_CHANGES:
            if getattr(extraction, part) is None:
                raise ValueError(
                    f"the arms of the study differ in search and pruning, but supertickets.extraction.{part} "
                    "is null"
                )
        values = extraction.model_dump()
        for changes in (_REFERENCE_CHANGES, self.changes or {}):
            for part, change in changes.items():
                values[part] = None if change is None else {**values[part], **change}
        if epochs is not None:
            values["epochs"] = epochs
        return SuperticketOptions.model_validate(values)


_ROWS = (
    Arm("dense", "Supernet", "The whole supernet, trained; nothing is removed.", None),
    Arm(
        "dense_long",
        "Supernet, longer",
        "The same, for as many epochs as search and retraining together.",
        None,
        is_long=True,
    ),
    Arm("search_only", "Search only", "Units are removed; no weight is masked.", {"pruning": None}),
    Arm(
        "search_then_prune",
        "Search, then prune",
        "Units are removed during the training, and all weights are masked in one event at its end.",
        {"pruning": {"every": _NEVER}},
    ),
    Arm(
        "prune_then_search",
        "Prune, then search",
        "Weights are masked in the first half of the training, and units are removed in the second.",
        {"search": {"start": 0.5}, "pruning": {"end": 0.5, "reactivation": "never"}},
    ),
    Arm(
        "random_masks",
        "Two-in-one, random masks",
        "As two-in-one, but weights are masked at random.",
        {"pruning": {"scores": "random"}},
    ),
    Arm(
        REFERENCE,
        "Two-in-one",
        "Units are removed and weights are masked in one training; sparsity rises step by step, and masked "
        "weights train again after every search event.",
        {},
    ),
    Arm(
        "at_once",
        "Two-in-one, at once",
        "As two-in-one, but the first prune event masks down to the final density.",
        {"pruning": {"progressive": False}},
    ),
    Arm(
        "no_reactivation",
        "Two-in-one, no reactivation",
        "As two-in-one, but masked weights do not train again.",
        {"pruning": {"reactivation": "never"}},
    ),
    Arm(
        "at_once_no_reactivation",
        "Two-in-one, neither",
        "As two-in-one, but at once, and masked weights do not train again.",
        {"pruning": {"progressive": False, "reactivation": "never"}},
    ),
    Arm(
        "after_prune",
        "Two-in-one, back at once",
        "As two-in-one, but masked weights train again right after each prune event, save the last.",
        {"pruning": {"reactivation": "after_prune"}},
    ),
    Arm(
        "zero",
        "Two-in-one, back from 0",
        "As two-in-one, but masked weights come back as 0, not with the value they had.",
        {"pruning": {"pruned_value": "zero"}},
    ),
    Arm(
        "two_in_one_long",
        "Two-in-one, longer",
        "As two-in-one, for as many epochs as search and retraining together, and not retrained.",
        {},
        is_long=True,
    ),
    # Add a new arm here.
)
ARMS = {row.name: row for row in _ROWS}


def _check_arms(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a valid arm; allowed are {', '.join(ARMS)}")
    if REFERENCE not in names:
        raise ValueError(f"arms must contain {REFERENCE}, which the others are compared with")
    return names


class StudyOptions(Group):
    """Which arms of the study are trained.

    Attributes:
        arms: by name, as in ``ARMS``.
        seeds: of the runs; they are the unit of the statistics.
        retrain: whether found networks are also trained again, with their masks on.
    """

    arms: Annotated[tuple[str, ...], Field(min_length=1), DISTINCT, AfterValidator(_check_arms)] = tuple(ARMS)
    seeds: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, lt=2**63)], ...],
        Field(min_length=1),
        DISTINCT,
    ] = (0, 1, 2)
    retrain: bool = True
