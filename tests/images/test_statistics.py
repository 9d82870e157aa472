import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.images import statistics
from lottery_pipeline.images.statistics import STD_FLOOR, ChannelSums, measure_channels


def test_two_pixels_of_0_and_255_have_mean_and_std_one_half():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert measure_channels(images) == ((0.5,), (0.5,))


def test_sums_over_pieces_are_those_over_all_images():
    images = torch.randint(
        0, 256, (9, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    sums = ChannelSums(3)
    for piece in images.split(4):
        sums.add(piece)
    assert sums.measure() == measure_channels(images)


def test_a_constant_channel_gets_the_floor_instead_of_zero():
    assert measure_channels(torch.full((3, 1, 2, 2), 51, dtype=torch.uint8)) == ((0.2,), (STD_FLOOR,))


@given(seed=st.integers(0, 2**32), count=st.integers(2, 9), channels=st.sampled_from([1, 3]))
@settings(max_examples=20)
def test_statistics_equal_numpy_in_double_precision(seed, count, channels):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, channels, 3, 5), dtype=np.uint8)
    mean, std = measure_channels(torch.from_numpy(pixels))
    assert mean == pytest.approx((pixels / 255).mean(axis=(0, 2, 3)), abs=1e-14)
    assert std == pytest.approx((pixels / 255).std(axis=(0, 2, 3)), abs=1e-14)


def test_statistics_do_not_depend_on_order_or_chunks(monkeypatch):
    monkeypatch.setattr(statistics, "_VALUES_AT_ONCE", 2**12)
    count = 2 * 2**10 + 1
    images = torch.randint(
        0, 256, (count, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    assert measure_channels(images) == measure_channels(images.flip(0))
    values = images.flatten().tolist()
    mean = math.fsum(values) / len(values) / 255
    assert measure_channels(images)[0][0] == pytest.approx(mean, abs=1e-15)
