"""What an attacker holds: somebody's trained ticket, images of his own, and a recipe."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.recipe import Recipe

Align: TypeAlias = Callable[[nn.Module, nn.Module], nn.Module]  # (network, reference) -> network reordered


@dataclass(frozen=True, eq=False)
class Victim:
    """A trained ticket in the hands of an attacker. No attack changes it.

    Attributes:
        ticket: ``kind="trained"``; the attacker sees all its weights.
        images: the attacker's data, of the kind that the ticket was trained on.
        recipe: of the original training; its length is what shares of epochs refer to.
        seed: of everything that an attack draws.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; attacks that train do it there.
        checkpoints: where trainings are saved; None saves nothing.
        other_images: another data set, for the attack that transfers the network to it.
        other: another trained ticket of the same network, for the attack that averages the two.
        insider: the key of the mark, for attacks of somebody who has got hold of it.
        groups: number of groups of the mark, which its credential tells everybody.
        align: reorders the channels of the other network to match this one before averaging.
    """

    ticket: Ticket
    images: ImageSplits
    recipe: Recipe
    seed: int
    device: str = "auto"
    checkpoints: Checkpoints | None = None
    other_images: ImageSplits | None = None
    other: Ticket | None = None
    insider: bytes | None = field(default=None, repr=False)
    groups: int = 144
    align: Align | None = None

    def __post_init__(self) -> None:
        if self.ticket.header.kind != "trained":
            raise OwnershipError("attacks need a trained ticket, but this one holds start weights")
        spec, images = self.ticket.header.spec, self.images
        wanted = (spec.num_classes, spec.channels, spec.image_size)
        found = (images.num_classes, images.channels, images.image_size)
        if found != wanted:
            raise OwnershipError(
                f"the ticket is for images of (classes, channels, size) {wanted}, the attacker's are {found}"
            )

    def build(self) -> Classifier:
        """Build the network of the ticket, in evaluation mode on the CPU, sharing no memory with it."""
        model = self.ticket.build().eval()
        assert isinstance(model, Classifier)  # noqa: S101
        return model

    def weights(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the prunable weights of a network that has the layers of the ticket, by name."""
        return {name: model.get_parameter(name) for name in self.ticket.masks}
