"""Tiny victims for the tests of attacks: networks with random weights and batch norms, never trained."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import draw_images, draw_masks, spec_for

RECIPE = Recipe(learning_rate=0.05, epochs=1, batch_size=20)


def draw_state(state: dict[str, Tensor], *, seed: int) -> dict[str, Tensor]:
    """The state with batch norms that are not at their start."""
    generator = make_generator(seed, "state")
    drawn = {}
    for name, tensor in state.items():
        drawn[name] = tensor.clone()
        if name.endswith("running_var") or (name.endswith("weight") and tensor.dim() == 1):
            drawn[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif tensor.dim() == 1:
            drawn[name] = 0.2 * torch.randn(tensor.shape, generator=generator)
    return drawn


def draw_trained(images: ImageSplits, name: str, *, density: float = 0.3, seed: int = 0) -> Ticket:
    spec = spec_for(images, name)
    state = draw_state(build_model(spec, seed=seed).state_dict(), seed=seed)
    return make_ticket(
        method="ltr",
        spec=spec,
        masks=draw_masks(state, seed=seed, density=density),
        state=state,
        seed=seed,
        rewind_step=0,
        parents={},
        kind="trained",
    )


def draw_victim(
    name: str = "lenet_300_100", *, side: int = 8, density: float = 0.3, **changes: object
) -> Victim:
    images = draw_images(side=side)
    victim = Victim(draw_trained(images, name, density=density), images, RECIPE, seed=3, device="cpu")
    return replace(victim, **changes)


def weights_of(model: nn.Module, victim: Victim) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in victim.weights(model).items()}


def pattern_of(model: nn.Module, victim: Victim) -> dict[str, Tensor]:
    return {name: weight != 0 for name, weight in weights_of(model, victim).items()}


def same_masks(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def count_left(model: nn.Module, victim: Victim) -> int:
    return sum(int(mask.sum()) for mask in pattern_of(model, victim).values())


def logits_of(model: nn.Module, *, side: int = 8, count: int = 6) -> Tensor:
    """Logits of random pixels, in the model's own precision."""
    dtype = next(model.parameters()).dtype
    pixels = torch.rand(count, 1, side, side, generator=make_generator(0, "pixels"), dtype=torch.float64)
    with torch.no_grad():
        return model(pixels.to(dtype))


def not_trained(_victim: Victim, model: nn.Module, *_args: object, **_kwargs: object) -> nn.Module:
    """Instead of ``fine_tune``: what the attack does before it trains."""
    return model.eval()
