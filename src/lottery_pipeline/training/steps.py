"""The steps of one training, captured where that is possible, and what they measure."""

from dataclasses import replace

from torch import nn

from lottery_pipeline.training.captured import CapturedSteps, choose_graph, round_rates
from lottery_pipeline.training.history import Interval
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.step import CountedStep, TrainingStep


class Steps:
    """Makes the steps of a training one by one.

    Args:
        step: makes any of them eagerly.
        rates: learning rate of every step of the training.
        interval: what the steps measure is added to it.
        steps_per_epoch: batches in an epoch.
        label: of the training.
    """

    def __init__(
        self,
        step: TrainingStep,
        rates: list[float],
        interval: Interval,
        *,
        steps_per_epoch: int,
        label: str,
    ) -> None:
        device = step.one.device
        self._step, self._rates, self._interval = step, round_rates(rates, device), interval
        self._steps_per_epoch = steps_per_epoch
        self._captured: CapturedSteps[CountedStep] | None = None
        if maker := choose_graph(step.recipe.graph, device, step.obstacle, label):
            self._captured = CapturedSteps(
                CountedStep(step),
                self._rates,
                steps_per_epoch=steps_per_epoch,
                full_steps=step.batches.full,
                columns=1,
                device=device,
                make_graph=maker,
                label=label,
            )

    def take(self, number: int) -> None:
        """Make step ``number``, counted from 0; the epoch's batches must be drawn. Does not wait."""
        if self._captured is None or not self._captured.take(number):
            self.settle()
            index = number % self._steps_per_epoch
            loss, logits, labels = self._step(index, self._rates[number], number)
            if self._step.shared is None:
                self._interval.add(loss, logits, labels)
            else:
                counts = self._step.task.count(logits, labels, self._step.image_size)
                found = self._step.shared.measure(loss, counts, labels)
                self._interval.extend(found[0], self._step.batches.count_images(index), found[1])

    def settle(self) -> None:
        """Add to the interval what captured steps have measured; before it is read. Does not wait."""
        if self._captured is not None and self._captured.pending:
            losses = self._captured.read()[:, 0].float()
            counts = self._captured.body.take_counts()
            self._interval.extend(losses, self._step.batches.size, counts)

    def change_network(self, model: nn.Module, network: nn.Module, optimiser: MaskedOptimiser) -> None:
        """Train another network from here on; only events do that, and their steps are never captured."""
        self._step = replace(self._step, model=model, network=network, optimiser=optimiser)
