import pytest
import torch

from lottery_pipeline.robustness.noise import draw_noise

SHAPE = (1, 4, 4)


def draw(indices: list[int], norm: str = "Linf", *, seed: int = 0, restart: int = 0) -> torch.Tensor:
    return draw_noise(torch.tensor(indices), SHAPE, norm, seed=seed, restart=restart)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_noise_of_an_image_does_not_depend_on_the_batch(norm):
    alone, together = draw([7], norm), draw([3, 7, 900], norm)

    assert torch.equal(alone[0], together[1])
    assert not torch.equal(together[0], together[1])


def test_seed_and_restart_change_the_noise():
    first = draw([7])

    assert torch.equal(first, draw([7]))
    assert not torch.equal(first, draw([7], seed=1))
    assert not torch.equal(first, draw([7], restart=1))


def test_linf_noise_fills_the_cube():
    noise = draw(list(range(300)))

    assert noise.abs().max() <= 1
    assert noise.abs().max() > 0.99
    assert noise.mean().abs() < 0.05


def test_l2_noise_is_uniform_in_the_ball():
    lengths = draw(list(range(2000)), "L2").flatten(1).norm(dim=1)

    assert lengths.max() <= 1 + 1e-6
    # The share within half of the volume is one half.
    assert (lengths < 0.5 ** (1 / 16)).double().mean() == pytest.approx(0.5, abs=0.03)
