"""One step of Concrete Ticket Search written from the formulas: loops, no autograd graph through the gates.

The derivative of the objective by a gate is taken by central differences.
"""

import math
from collections.abc import Callable


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def gate(logit: float, uniform: float, temperature: float, form: str) -> float:
    noise = math.log(uniform) - math.log(1 - uniform)
    return sigmoid(logit + noise / temperature if form == "tlab" else (logit + noise) / temperature)


def objective_gradient(
    objective: Callable[[list[float]], float],
    logits: list[float],
    uniforms: list[float],
    temperature: float,
    form: str,
    width: float = 1e-5,
) -> list[float]:
    """dR/dalpha by differences of the gates' logits."""
    slopes = []
    for index in range(len(logits)):
        values = []
        for shift in (width, -width):
            moved = [logit + shift * (place == index) for place, logit in enumerate(logits)]
            gates = [gate(a, u, temperature, form) for a, u in zip(moved, uniforms, strict=True)]
            values.append(objective(gates))
        slopes.append((values[0] - values[1]) / (2 * width))
    return slopes


def gradbalance(
    logits: list[float], slopes: list[float], multiplier: float | None, density: float
) -> tuple[list[float], float, float]:
    """Return g_R + lambda g_S, lambda and S (specs 3.3)."""
    aim = 1.1 * density * len(logits)
    error = 100 * (sum(map(sigmoid, logits)) / aim - 1)
    pressure = [100 / aim * sigmoid(a) * (1 - sigmoid(a)) for a in logits]
    target = math.hypot(*slopes) / (math.hypot(*pressure) + 1e-12) if error > 0 else 0.0
    now = target if multiplier is None else 0.99 * multiplier + 0.01 * target
    return [r + now * s for r, s in zip(slopes, pressure, strict=True)], now, error


class Adam:
    """Kingma & Ba 2015, default betas, on lists."""

    def __init__(self, size: int) -> None:
        self.first, self.second, self.steps = [0.0] * size, [0.0] * size, 0

    def move(self, logits: list[float], gradient: list[float], rate: float) -> list[float]:
        self.steps += 1
        moved = []
        for index, (logit, slope) in enumerate(zip(logits, gradient, strict=True)):
            self.first[index] = 0.9 * self.first[index] + 0.1 * slope
            self.second[index] = 0.999 * self.second[index] + 0.001 * slope**2
            first = self.first[index] / (1 - 0.9**self.steps)
            second = self.second[index] / (1 - 0.999**self.steps)
            moved.append(logit - rate * first / (math.sqrt(second) + 1e-8))
        return moved
