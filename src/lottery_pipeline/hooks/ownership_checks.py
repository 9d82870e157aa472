"""The checks of signing and of attacks on signed tickets, before the first node."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.hooks.image_checks import Counts
from lottery_pipeline.hooks.robustness_checks import try_gradients
from lottery_pipeline.hooks.search_checks import list_prunable
from lottery_pipeline.options.methods import find_method
from lottery_pipeline.options.ownership import LEAST_GROUPS

if TYPE_CHECKING:
    from lottery_pipeline.search.outlook import Outlook


def check_triggers(parameters: Mapping[str, Any], counts: Counts | None) -> None:
    """Refuse trigger sets of stamped images for which there are too few images or classes.

    Raises:
        ValueError: there are too few; one sentence.
    """
    from lottery_pipeline.ownership.statements import TRIGGER_SETS

    options = parameters["signature_embedding"]
    if counts is None or options.trigger_family != "pattern":
        return
    if counts.classes < 3:
        raise ValueError("trigger_family pattern needs 3 classes or more, but there are 2; choose shapes")
    if TRIGGER_SETS * options.trigger_images > counts.train:
        raise ValueError(
            f"trigger_images is {options.trigger_images}, but {TRIGGER_SETS} sets of stamped images from "
            f"{counts.train} training images have at most {counts.train // TRIGGER_SETS} each"
        )


def list_unsignable(
    parameters: Mapping[str, Any], stored: Path | None, project: Path, counts: Counts | None
) -> Iterator[str]:
    """Yield why the ticket that is to be signed has no room for a mark, as far as that is known.

    Args:
        parameters: typed groups.
        stored: file of the ticket, if there is one: then its options do not matter any more.
        project: folder where relative paths start.
        counts: of the images, if they are known.
    """
    name = parameters.get("ticket", "cts")
    if not find_method(name).has_density:
        yield (
            f"Parameter ticket is {name!r}, which keeps every weight of a smaller network and so has no room "
            f"for a mark; sign a ticket within it, such as layer_cts."
        )
        return
    if stored is None:
        most = _bound_by_options(name, parameters, project, counts)
        what = f"a {name} ticket of {parameters['model'].name} as it is asked for"
    else:
        most, what = _bound_by_header(stored), f"the ticket {stored}"
    wanted = parameters["signature_embedding"].groups
    if most is not None and most < wanted:
        lower = f", or lower groups to {most} or fewer" if most >= LEAST_GROUPS else ""
        yield (
            f"Parameter signature_embedding: {what} can hold at most {most} groups of 8 carriers, but the "
            f"mark needs {wanted}; sign one that keeps more weights, but not all of them{lower}."
        )


def check_chosen_attacks(parameters: Mapping[str, Any], outlook: "Outlook") -> None:
    """Refuse an attack that was named and cannot run here; of all attacks, those are noted in the table.

    Raises:
        ValueError: what it needs is not there; one sentence.
    """
    from lottery_pipeline.models.head import find_head
    from lottery_pipeline.ownership.attacks import ATTACKS

    own_network = find_method(parameters.get("ticket", "cts")).own_network
    trial = None if own_network or outlook.is_built_in else outlook.trial
    for name in parameters["ownership_attacks"].attacks:
        attack = ATTACKS.get(name)
        if attack is not None and attack.needs == "other_images":
            raise ValueError(
                f"attack {name} needs a second data set, which this pipeline does not have; leave it out of "
                "ownership_attacks.attacks, or run benchmarks.ownership.study"
            )
        if attack is None or attack.follows is None or trial is None:
            continue
        try:
            if attack.follows == "pixels":
                try_gradients(trial)
            else:
                trial.attempt("head", lambda: find_head(trial.model, trial.images), "attack")
        except ValueError as error:
            raise ValueError(f"ownership_attacks.attacks has {name}, but {error}") from error


def _bound_by_header(ticket: Path) -> int:
    from lottery_pipeline.ownership.carriers import bound_groups
    from lottery_pipeline.tickets.ticket import read_header

    return bound_groups([(layer.shape, layer.kept) for layer in read_header(ticket).layers])


def _bound_by_options(
    name: str, parameters: Mapping[str, Any], project: Path, counts: Counts | None
) -> int | None:
    """Return the bound of a ticket that is still to be found; None if too little is known of it."""
    from lottery_pipeline.ownership.carriers import bound_groups_at
    from lottery_pipeline.sparsity.allocation import kept_count

    weights = None if find_method(name).own_network else list_prunable(parameters, project, counts)
    if weights is None:
        return None
    density = parameters[name].extraction.density
    shapes = [weight.shape for weight in weights.values()]
    kept = None if density is None else kept_count(density, sum(map(math.prod, shapes)))
    return bound_groups_at(shapes, kept)
