"""Importance of search units: what each costs, how hard L1 pulls on it, and the moving average of weights.

A unit is a hidden channel of a kernel group or a token of an attention path. Its importance is the magnitude
of its scale gamma, an entry of a batch norm's weight (arXiv 2106.06560, arXiv 2207.03677).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lottery_pipeline.models.supernet.units import UnitGroup
from lottery_pipeline.training.result import State


@dataclass(frozen=True)
class UnitPrice:
    """Multiply-accumulates of the units of one group, for one image.

    Attributes:
        linear: of one unit.
        quadratic: c, if n units together take another c n^2: tokens attend to one another.
    """

    linear: float
    quadratic: float = 0.0

    def total(self, units: int) -> float:
        """Return the multiply-accumulates of so many units."""
        return self.linear * units + self.quadratic * units**2

    def marginal(self, units: Tensor) -> Tensor:
        """Return what the last of so many units adds; of none, nothing quadratic."""
        return self.linear + self.quadratic * (units**2 - (units - 1).clamp_min(0) ** 2)


def price_units(
    units: Iterable[UnitGroup], macs: Mapping[str, int], products: Mapping[str, int]
) -> dict[str, UnitPrice]:
    """Return the price of each unit group.

    Args:
        units: of the whole supernet.
        macs: by group, of all its units together, without what grows with their square.
        products: by group, what grows with the square of its units; absent for kernel groups.
    """
    return {
        group.name: UnitPrice(macs[group.name] / group.size, products.get(group.name, 0) / group.size**2)
        for group in units
    }


def mean_price(units: Iterable[UnitGroup], prices: Mapping[str, UnitPrice]) -> float:
    """Return the mean multiply-accumulates of a unit: with it sum n lambda = sum n over kernel groups."""
    groups = list(units)
    return sum(prices[group.name].total(group.size) for group in groups) / sum(group.size for group in groups)


class Pull:
    """The L1 term of one network: rho * sum over units of lambda |gamma|.

    lambda of a kernel group is the price of a unit over the mean price; it is taken once, of the whole
    supernet. That of a token is what the last living token adds, so it falls as tokens die.

    Args:
        model: its units are found by name in ``prices``.
        units: of the model.
        prices: of the whole supernet.
        mean: ``mean_price`` of the whole supernet; None weighs all units alike.
        threshold: a token with a scale above it is alive.
    """

    def __init__(
        self,
        model: nn.Module,
        units: Iterable[UnitGroup],
        prices: Mapping[str, UnitPrice],
        mean: float | None,
        threshold: float,
    ) -> None:
        parameters = dict(model.named_parameters())
        groups = list(units)
        self._gammas: list[Tensor] = [parameters[group.gamma] for group in groups]
        self._threshold = threshold
        fixed = [1.0 if mean is None else prices[group.name].linear / mean for group in groups]
        self._factors: list[Tensor] = [
            torch.tensor(factor, dtype=gamma.dtype, device=gamma.device)
            for factor, gamma in zip(fixed, self._gammas, strict=True)
        ]
        self._tokens = [
            (place, UnitPrice(prices[group.name].linear / mean, prices[group.name].quadratic / mean))
            for place, group in enumerate(groups)
            if mean is not None and prices[group.name].quadratic
        ]

    def factors(self) -> list[Tensor]:
        """Return lambda of each group, as scalars; nothing here waits for the device."""
        for place, price in self._tokens:
            alive = (self._gammas[place].abs() > self._threshold).sum()
            self._factors[place] = price.marginal(alive).to(self._gammas[place].dtype)
        return self._factors

    @torch.no_grad()
    def add_gradients_(self, rho: float) -> None:
        """Add rho lambda sign(gamma) to the gradient of each scale; the gradient at 0 is 0."""
        pulls = torch._foreach_sign(self._gammas)
        torch._foreach_mul_(pulls, self.factors())
        for gamma, pull in zip(self._gammas, pulls, strict=True):
            if gamma.grad is not None:
                gamma.grad.add_(pull, alpha=rho)


class MovingAverage:
    """Exponential moving average of all parameters of a network, by name.

    Args:
        values: where it starts.
        decay: a, in a * average + (1 - a) * weight after each step.
    """

    def __init__(self, values: Mapping[str, Tensor], decay: float) -> None:
        self.values: State = {name: value.detach().clone() for name, value in values.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, parameters: Mapping[str, Tensor]) -> None:
        """Take one step towards the parameters."""
        current = [parameters[name].detach() for name in self.values]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - self._decay)
