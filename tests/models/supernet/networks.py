"""Small supernets for tests, and values as some training might leave them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.models.supernet.units import UnitGroup, find_units
from lottery_pipeline.reproducibility.seeds import make_generator

TINY = Supernet(
    input_stride=1,
    stem_channels=4,
    stages=(Stage(blocks=(1,), channels=(4,)), Stage(blocks=(1, 1), channels=(4, 6))),
    kernel_sizes=(3, 5),
    expand_ratio=1,
    attention=Attention(tokens=3, grid=2, dropout=0.0),
    head=Head(width=8),
)


def spec_of(config: Supernet | str = TINY, size: int | tuple[int, int] = 8, **changes: object) -> ModelSpec:
    channels = changes.pop("channels", 1)
    return ModelSpec(
        **{
            "name": "supernet",
            "supernet": PRESETS[config] if isinstance(config, str) else config,
            "num_classes": 3,
            "channels": channels,
            "image_size": (size, size) if isinstance(size, int) else size,
            "mean": (0.5,) * channels,
            "std": (0.25,) * channels,
            **changes,
        }
    )


def images_of(
    spec: ModelSpec, count: int = 4, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    shape = (count, spec.channels, *spec.image_size)
    return torch.rand(shape, generator=make_generator(seed, "pixels"), dtype=dtype)


def build_used(spec: ModelSpec, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network in evaluation mode whose norms and statistics are no longer the initial ones."""
    model = build_model(spec, seed=seed).to(dtype).eval()
    generator = make_generator(seed, "used")
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point() or name.startswith("normalise"):
                continue
            drawn = torch.randn(tensor.shape, generator=generator, dtype=dtype)
            if name.endswith("running_var"):
                tensor.copy_(drawn.abs() + 0.5)
            elif tensor.dim() == 1:
                tensor.add_(0.3 * drawn)
    return model


def draw_keep(
    model: nn.Module, choose: Callable[[UnitGroup, Tensor], Tensor] | None = None, *, seed: int = 0
) -> dict[str, Tensor]:
    """Keep about half of the units of every group; ``choose`` may change what is drawn."""
    generator = make_generator(seed, "keep")
    keep = {}
    for group in find_units(model):
        drawn = torch.rand(group.size, generator=generator) < 0.5
        keep[group.name] = drawn if choose is None else choose(group, drawn)
    return keep


@torch.no_grad()
def silence_(model: nn.Module, keep: dict[str, Tensor], *, beta: float | None = 0.0) -> None:
    """Set the gamma of units that are not kept to 0 and, unless None, their beta."""
    for group in find_units(model):
        model.get_parameter(group.gamma)[~keep[group.name]] = 0.0
        if beta is not None:
            model.get_parameter(group.gamma.replace("norm.weight", "norm.bias"))[~keep[group.name]] = beta
