"""The loss of a batch whose images several processes share: its gradient, and what it and its counts are."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lottery_pipeline.training.collectives import add_up_
from lottery_pipeline.training.parallel import Team
from lottery_pipeline.training.reductions import add_up_gradients_
from lottery_pipeline.training.tasks import Task


@dataclass(frozen=True)
class SharedLoss:
    """What the processes of a training make of the losses of their parts of a batch.

    Attributes:
        team: the processes.
        task: weighs the parts.
        is_mean: whether the loss is a mean over the batch; otherwise it is a sum.
    """

    team: Team
    task: Task
    is_mean: bool

    def backward(self, loss: Tensor, labels: Tensor, parameters: Iterable[Tensor]) -> None:
        """Give the parameters the gradient of the loss of the whole batch.

        Args:
            loss: of the images of this process.
            labels: theirs.
            parameters: of the network.
        """
        weight = self._weigh(labels)
        loss.backward(weight.to(loss))
        add_up_gradients_(parameters, weight, is_mean=self.is_mean)

    @torch.no_grad()
    def measure(self, loss: Tensor, counts: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss, [1], and counts of the whole batch, from those of the images of this process."""
        weight = self._weigh(labels)
        found = torch.cat([torch.stack([loss * weight, weight]).double(), counts.reshape(-1).double()])
        add_up_(found)
        total = found[:1] / found[1].clamp_min(1) if self.is_mean else found[:1]
        return total.float(), (found[2:] / self.team.replicas).long().view_as(counts)

    def _weigh(self, labels: Tensor) -> Tensor:
        if self.is_mean:
            return self.task.weigh(labels)
        return torch.full((), 1 / self.team.replicas, dtype=torch.float64, device=labels.device)
