"""Where a rewound training begins: at the epoch that its start weights have reached, in steps of its own.

A rewind point is a step of the dense run. Under another batch size an epoch has another number of steps, so
the step is converted through epochs of data seen: learning rate, order of the images and length of the
training continue where the dense run was. A point between two steps goes to the nearest.
"""

import logging

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.training.recipe import Recipe

logger = logging.getLogger(__name__)


def find_first_step(method: str, step: int, steps_per_epoch: int | None, recipe: Recipe, images: int) -> int:
    """Return the step of a training at which weights of the dense run start.

    Args:
        method: of the ticket, for messages.
        step: of the dense run, whose weights they are.
        steps_per_epoch: of the dense run; None in files of older versions, whose step is then taken as one of
            this training, with a warning.
        recipe: of the training.
        images: number of training images.

    Raises:
        TicketError: the training has ended by then.
    """
    own = recipe.steps_per_epoch(images)
    first = convert_step(method, step, steps_per_epoch, recipe, images)
    if step and steps_per_epoch is None:
        logger.warning(
            "The %s ticket is of an older version, which does not say how many steps an epoch of its dense "
            "run had: its step %d is taken as epoch %s of this training. If the dense run had another "
            "batch size, find the ticket again.",
            *(method, step, write_number(step / own, 3)),
        )
    elif step and first * (steps_per_epoch or own) != step * own:
        logger.warning(
            "The %s ticket starts at epoch %s of its dense run; with batches of %d the nearest step is %d, "
            "epoch %s.",
            method,
            write_number(step / (steps_per_epoch or own), 4),
            recipe.batch_size,
            first,
            write_number(first / own, 4),
        )
    return first


def convert_step(method: str, step: int, steps_per_epoch: int | None, recipe: Recipe, images: int) -> int:
    """Convert a step of the dense run into one of a training, or raise ``TicketError`` if that has ended."""
    first = step if steps_per_epoch is None else recipe.convert_step(step, steps_per_epoch, images)
    total = recipe.total_steps(images)
    if first >= total:
        raise TicketError(
            f"the {method} ticket starts at step {first}, but the retraining recipe ends after {total}"
        )
    return first
