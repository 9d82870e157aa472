"""Options of the transfer of SuperTickets to other tasks."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from lottery_pipeline.options.lists import DISTINCT, Group
from lottery_pipeline.options.task import TaskName

TransferHead = Literal["fresh", "carry"]
TransferControl = Literal["reinitialised", "random_mask", "dense", "direct"]


class TransferOptions(Group):
    """Which tasks a SuperTicket moves between, what it takes along, and what it is compared with.

    Attributes:
        tasks: a ticket is found for each of them, and moved to each of the others.
        head: ``fresh`` gives the network a new head for the target, without a mask. ``carry`` keeps the head
            with its mask, save the last layer; segmentation and keypoints have heads of the same shapes.
        freeze: whether the backbone of a moved ticket stays as it is, batch-norm statistics included.
            Controls are always trained as a whole.
        controls: ``reinitialised``: same architecture and masks, fresh weights. ``random_mask``: same
            architecture and weights, but the mask is shuffled in each layer. ``dense``: same architecture,
            fresh weights, no masks. ``direct``: a ticket that was found for the target itself.
        seeds: of the runs; they are the unit of the statistics.
    """

    tasks: Annotated[tuple[TaskName, ...], Field(min_length=2), DISTINCT] = get_args(TaskName)
    head: TransferHead = "fresh"
    freeze: bool = False
    controls: Annotated[tuple[TransferControl, ...], DISTINCT] = get_args(TransferControl)
    seeds: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, lt=2**63)], ...],
        Field(min_length=1),
        DISTINCT,
    ] = (0, 1, 2)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.head == "carry" and "classification" in self.tasks:
            raise ValueError(
                "head is carry, but the head of classification fits no other task; set head to fresh, or "
                "tasks to segmentation and keypoints"
            )
        return self
