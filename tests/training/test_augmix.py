"""AugMix: each operation has a known answer, and the mixture stays what it promises."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from lottery_pipeline.training.augmix import (
    OPERATIONS,
    Mixtures,
    draw_mixtures,
    equalise,
    mix_images,
    move,
    plan_movements,
    posterise,
    solarise,
    stretch_contrast,
)

END = -1


def draw_images(count: int = 5, *, channels: int = 3, height: int = 12, width: int = 12) -> Tensor:
    """Smooth ramps with noise, whole numbers, in which neighbours are alike."""
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(20, 180, width) + torch.linspace(0, 30, height)[:, None]
    noise = torch.randint(0, 40, (count, channels, height, width), generator=generator)
    return (ramp + noise).floor().clamp(0, 255)


def only(name: str, level: float, *, count: int, sign: float = 1.0) -> Mixtures:
    """A single operation in the first chain, of which the result is made entirely."""
    operations = torch.full((count, 3, 3), END)
    operations[:, 0, 0] = OPERATIONS.index(name)
    weights = torch.tensor([[1.0, 0.0, 0.0]]).repeat(count, 1)
    levels = torch.full((count, 3, 3), level)
    return Mixtures(operations, levels, torch.full((count, 3, 3), sign), weights, torch.ones(count))


def as_uint8(images: Tensor) -> Tensor:
    assert torch.equal(images, images.round())
    return images.to(torch.uint8)


def test_posterising_to_three_bits_keeps_multiples_of_32():
    values = torch.tensor([0.0, 31, 32, 100, 255]).view(1, 1, 1, 5)

    assert posterise(values, torch.tensor([3])).flatten().tolist() == [0, 0, 32, 96, 224]


def test_solarising_inverts_what_is_at_or_above_the_threshold():
    values = torch.tensor([0.0, 127, 128, 200, 255]).view(1, 1, 1, 5).repeat(2, 1, 1, 1)

    found = solarise(values, torch.tensor([128, 256]))

    assert found[0].flatten().tolist() == [0, 127, 127, 55, 0]
    assert torch.equal(found[1], values[1])


def test_contrast_is_stretched_to_the_whole_range_channel_by_channel():
    images = torch.tensor([[10.0, 20, 30], [7, 7, 7]]).view(1, 2, 1, 3)

    assert stretch_contrast(images).flatten().tolist() == [0, 127, 255, 7, 7, 7]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(12, 12), (32, 20)])
def test_operations_on_values_agree_with_those_of_torchvision(channels, size):
    images = draw_images(channels=channels, height=size[0], width=size[1])
    pixels = as_uint8(images)
    bits, thresholds = torch.full((5,), 4.0), torch.full((5,), 180.0)

    assert torch.equal(as_uint8(equalise(images)), reference.equalize(pixels))
    assert torch.equal(as_uint8(posterise(images, bits)), reference.posterize(pixels, 4))
    assert torch.equal(as_uint8(solarise(images, thresholds)), reference.solarize(pixels, 180))
    stretched, expected = as_uint8(stretch_contrast(images)), reference.autocontrast(pixels)
    assert int((stretched.int() - expected.int()).abs().max()) <= 1  # torchvision rounds its scale first


def test_an_image_of_one_value_has_nothing_to_equalise():
    images = torch.full((1, 1, 32, 32), 90.0)

    assert torch.equal(equalise(images), images)


@pytest.mark.parametrize("level", [0.1, 1.5, 3.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_rotations_agree_with_those_of_torchvision(level, sign):
    images = draw_images(height=20, width=14)
    angle = sign * int(level * 3)

    found = mix_images(images, only("rotate", level, count=5, sign=sign))

    expected = reference.rotate(images, angle, InterpolationMode.BILINEAR)
    assert float((found - expected).abs().max()) <= 1  # rounded here
    assert torch.equal(found, images) == (angle == 0)


@pytest.mark.parametrize(
    ("name", "matrix"), [("shear_x", (1, 0.09, 0, 0, 1, 0)), ("shear_y", (1, 0, 0, 0.09, 1, 0))]
)
def test_shears_agree_with_those_of_pillow_inside_the_image(name, matrix):
    images = draw_images(1, channels=1, height=16, width=16)
    picture = Image.fromarray(as_uint8(images)[0, 0].numpy())

    found = mix_images(images, only(name, 3.0, count=1))[0, 0]

    moved = picture.transform((16, 16), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    expected = torch.tensor(np.asarray(moved), dtype=torch.float32)
    assert float((found - expected)[2:-2, 2:-2].abs().max()) <= 1
    assert not torch.equal(found, images[0, 0])


def test_a_shift_is_of_whole_pixels_and_leaves_black_behind():
    images = draw_images(2, height=24, width=31)  # a tenth of a third of 3: 2 rows or 3 columns

    right = mix_images(images, only("translate_x", 3.0, count=2, sign=-1.0))
    up = mix_images(images, only("translate_y", 3.0, count=2))

    assert torch.equal(right[..., 3:], images[..., :-3])
    assert not right[..., :3].any()
    assert torch.equal(up[..., :-2, :], images[..., 2:, :])
    assert not up[..., -2:, :].any()


def test_moving_nowhere_changes_nothing():
    images = draw_images(height=9, width=7)
    nowhere = plan_movements(torch.zeros(5), torch.full((5,), 3.0), torch.ones(5), (9, 7))

    assert torch.equal(nowhere, torch.eye(2, 3).repeat(5, 1, 1))
    assert torch.equal(move(images, nowhere), images)


def test_weights_and_shares_are_those_of_a_convex_mixture():
    drawn = draw_mixtures(3000, torch.Generator().manual_seed(0))

    assert bool((drawn.weights >= 0).all())
    torch.testing.assert_close(drawn.weights.sum(1), torch.ones(3000))
    assert float(drawn.weights.mean()) == pytest.approx(1 / 3, abs=1e-6)
    assert float(drawn.weights.std()) == pytest.approx((1 / 18) ** 0.5, rel=0.03)  # of Dirichlet(1, 1, 1)
    assert float(drawn.shares.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(drawn.shares.std()) == pytest.approx((1 / 12) ** 0.5, rel=0.03)
    assert float(drawn.levels.min()) >= 0.1
    assert float(drawn.levels.max()) <= 3.0
    assert set(drawn.signs.unique().tolist()) == {-1.0, 1.0}


def test_chains_are_one_to_three_operations_long_and_know_all_of_them():
    drawn = draw_mixtures(3000, torch.Generator().manual_seed(0)).operations

    lengths = (drawn != END).sum(2)
    assert bool((drawn[..., 0] != END).all())
    assert bool(((drawn[..., 1] != END) | (drawn[..., 2] == END)).all())  # no gaps
    for length in (1, 2, 3):
        assert float((lengths == length).float().mean()) == pytest.approx(1 / 3, abs=0.02)
    shares = torch.bincount(drawn[drawn != END], minlength=9) / (drawn != END).sum()
    torch.testing.assert_close(shares, torch.full((9,), 1 / 9), rtol=0, atol=0.01)


def test_the_mixture_is_the_weighted_sum_of_chains_and_image():
    images = draw_images(1)
    operations = torch.full((1, 3, 3), END)
    operations[0, 0, :2] = torch.tensor([OPERATIONS.index("equalize"), OPERATIONS.index("posterize")])
    operations[0, 1, 0] = OPERATIONS.index("solarize")
    mixtures = Mixtures(
        operations,
        torch.full((1, 3, 3), 3.0),
        torch.ones(1, 3, 3),
        torch.tensor([[0.5, 0.3, 0.2]]),
        torch.tensor([0.4]),
    )

    found = mix_images(images, mixtures)

    chains = [posterise(equalise(images), torch.tensor([3])), solarise(images, torch.tensor([180])), images]
    expected = 0.6 * images + 0.4 * (0.5 * chains[0] + 0.3 * chains[1] + 0.2 * chains[2])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (8, 8), (9, 17)])
def test_mixed_images_of_any_size_keep_shape_and_range_and_leave_their_originals_alone(channels, size):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (40, channels, *size), generator=generator).float()
    before = images.clone()

    found = mix_images(images, draw_mixtures(40, generator))

    assert found.shape == images.shape
    assert 0 <= float(found.min()) <= float(found.max()) <= 255
    assert torch.equal(images, before)
    assert not torch.equal(found, before)


def test_an_image_is_mixed_alike_whatever_stands_beside_it():
    images = draw_images(20)
    mixtures = draw_mixtures(20, torch.Generator().manual_seed(2))

    together = mix_images(images, mixtures)

    torch.testing.assert_close(mix_images(images[7:9], mixtures.part(slice(7, 9))), together[7:9])
