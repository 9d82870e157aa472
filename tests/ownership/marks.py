"""A small network with a mark, and rewrites of its weights, written index by index.

The chain has three convolutions and two linear layers. ``d`` reads two pixels of every channel of ``c``, as
after a flatten. ``b``, ``c`` and ``d`` can carry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from lottery_pipeline.ownership.carriers import plan_groups
from lottery_pipeline.ownership.embedding import Marking
from lottery_pipeline.ownership.mask_code import Evidence, Mark, read_mark, sign_masks
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.surgery.channels import ChannelGroup, find_inner_groups, find_stream_groups

KEY, PAYLOAD = bytes(range(32)), bytes(range(100, 116))
SHAPES = {
    "a.weight": (16, 2, 3, 3),
    "b.weight": (24, 16, 3, 3),
    "c.weight": (32, 24, 3, 3),
    "d.weight": (20, 32 * 2),
    "e.weight": (5, 20),
}
CHANNELS = (
    ChannelGroup(16, ("a",), (), (("b", 1),)),
    ChannelGroup(24, ("b",), (), (("c", 1),)),
    ChannelGroup(32, ("c",), (), (("d", 2),)),
    ChannelGroup(20, ("d",), (), (("e", 1),)),
)


@dataclass(frozen=True)
class Signed:
    """A chain before and after signing; ``weights`` are 0 where the signed masks are off."""

    unmarked: dict[str, Tensor]
    mark: Mark
    marking: Marking
    weights: dict[str, Tensor]

    @property
    def masks(self) -> dict[str, Tensor]:
        return self.marking.masks


def key_of(number: int) -> bytes:
    return number.to_bytes(4, "big") * 8


def draw_masks(
    density: float,
    seed: int = 0,
    *,
    shapes: Mapping[str, tuple[int, ...]] = SHAPES,
    dead: Iterable[tuple[str, int, int]] = (),
) -> dict[str, Tensor]:
    """Draw masks; ``dead`` names layer, axis and channel that keep nothing."""
    generator = make_generator(seed, "masks")
    masks = {name: torch.rand(shape, generator=generator) < density for name, shape in shapes.items()}
    for name, axis, channel in dead:
        masks[name].select(axis, channel).fill_(False)
    return masks


def draw_weights(
    seed: int = 0, *, shapes: Mapping[str, tuple[int, ...]] = SHAPES, spread: float = 0.0
) -> dict[str, Tensor]:
    """Draw normal weights; ``spread`` makes some channels and kernels larger than others, like training."""
    generator = make_generator(seed, "weights")
    drawn = {}
    for name, shape in shapes.items():
        sizes = (
            torch.randn(shape[:2], generator=generator) + torch.randn(shape[:1], generator=generator)[:, None]
        )
        sizes = (spread * sizes).exp().reshape(*shape[:2], *[1] * (len(shape) - 2))
        drawn[name] = torch.randn(shape, generator=generator) * sizes
    return drawn


def draw_gradients(seed: int = 0, *, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> dict[str, Tensor]:
    return draw_weights(seed + 1_000_003, shapes=shapes)


def sign_chain(
    density: float = 0.2,
    seed: int = 0,
    *,
    count: int = 144,
    key: bytes = KEY,
    grinding_bits: int = 0,
    shapes: Mapping[str, tuple[int, ...]] = SHAPES,
    dead: Iterable[tuple[str, int, int]] = (),
) -> Signed:
    unmarked = draw_masks(density, seed, shapes=shapes, dead=dead)
    mark = Mark(key, PAYLOAD, plan_groups(unmarked, count), grinding_bits=grinding_bits)
    weights = draw_weights(seed, shapes=shapes)
    marking = sign_masks(unmarked, mark, draw_gradients(seed, shapes=shapes), weights)
    return Signed(unmarked, mark, marking, {name: w * marking.masks[name] for name, w in weights.items()})


def channels_of(model: nn.Module) -> list[ChannelGroup]:
    """Return all groups of a known network in the order of the network."""
    order = {name: place for place, (name, _) in enumerate(model.named_modules())}
    groups = [*find_inner_groups(model), *find_stream_groups(model)]
    return sorted(groups, key=lambda group: order[group.name])


def choose(
    weights: Mapping[str, Tensor],
    groups: Iterable[ChannelGroup],
    orders: Mapping[str, Iterable[int]],
    factors: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Make channel i of a group its old channel ``orders[group][i]``; readers divide by what writers gain."""
    changed = {name: weight.double().clone() for name, weight in weights.items()}
    for group in groups:
        order = list(orders.get(group.name, range(group.size)))
        factor = None if factors is None else factors[group.name]
        for layer in group.outputs:
            weight = changed[f"{layer}.weight"]
            rows = [weight[old] * (1.0 if factor is None else factor[new]) for new, old in enumerate(order)]
            changed[f"{layer}.weight"] = torch.stack(rows)
        for layer, pixels in group.inputs:
            weight = changed[f"{layer}.weight"]
            columns = []
            for new, old in enumerate(order):
                for pixel in range(pixels):
                    column = weight[:, old * pixels + pixel]
                    columns.append(column if factor is None else column / factor[new])
            changed[f"{layer}.weight"] = torch.stack(columns, 1)
    return {name: weight.float() for name, weight in changed.items()}


def add_channels(
    weights: Mapping[str, Tensor], groups: Iterable[ChannelGroup], *, extra: int, seed: int
) -> tuple[dict[str, Tensor], list[ChannelGroup]]:
    """Append channels that nobody reads, each a filter of the layer with its weights in another order."""
    changed = {name: weight.clone() for name, weight in weights.items()}
    generator = make_generator(seed, "dummies")
    wider = []
    for group in groups:
        for layer in group.outputs:
            weight = changed[f"{layer}.weight"]
            rows = weight[torch.randint(len(weight), (extra,), generator=generator)].flatten(1)
            rows = rows[:, torch.randperm(rows.shape[1], generator=generator)]
            changed[f"{layer}.weight"] = torch.cat([weight, rows.view(extra, *weight.shape[1:])])
        for layer, pixels in group.inputs:
            weight = changed[f"{layer}.weight"]
            columns = torch.zeros(len(weight), extra * pixels, *weight.shape[2:])
            changed[f"{layer}.weight"] = torch.cat([weight, columns], 1)
        wider.append(replace(group, size=group.size + extra))
    return changed, wider


def draw_orders(groups: Iterable[ChannelGroup], seed: int) -> dict[str, list[int]]:
    generator = make_generator(seed, "orders")
    return {group.name: torch.randperm(group.size, generator=generator).tolist() for group in groups}


def draw_factors(groups: Iterable[ChannelGroup], seed: int, *, negative: bool = False) -> dict[str, Tensor]:
    """Log-uniform in [0.1, 10], of either sign if ``negative``."""
    generator = make_generator(seed, "factors")
    factors = {}
    for group in groups:
        factor = 10 ** (2 * torch.rand(group.size, generator=generator, dtype=torch.float64) - 1)
        signs = torch.randint(0, 2, (group.size,), generator=generator) * 2 - 1
        factors[group.name] = factor * signs if negative else factor
    return factors


def read_with_all_means(suspect: Mapping[str, Tensor], signed: Signed, **options: int) -> Evidence:
    """Read as if the reference was public before the suspect."""
    return read_mark(
        suspect, signed.mark, signed.masks, reference=signed.weights, channels=CHANNELS, **options
    )


def fill(weights: Mapping[str, Tensor], share: float, seed: int = 0) -> dict[str, Tensor]:
    """Give every zero a small value, and change the others: what dense training leaves."""
    noise = draw_weights(seed + 77, shapes={name: tuple(w.shape) for name, w in weights.items()})
    return {name: w + share * noise[name] for name, w in weights.items()}


def show_symbols(targets: np.ndarray, wrong: Iterable[int] = (), shift: int = 1) -> np.ndarray:
    """Return scores that show every target, but for the ``wrong`` groups, which show another carrier."""
    shown = targets.copy()
    for group in wrong:
        shown[group] = (shown[group] + shift) % 8
    scores = np.zeros((len(targets), 8))
    scores[np.arange(len(targets)), shown] = 1.0
    return scores
