import numpy as np
import pytest

from lottery_pipeline.robustness.corruptions.noises import (
    GAUSSIAN_DEVIATIONS,
    IMPULSE_SHARES,
    SHOT_PHOTONS,
    gaussian_noise,
    impulse_noise,
    shot_noise,
)
from tests.robustness.corruptions.pictures import fill, generators

GREY = fill(128, 64, 64, count=4)


@pytest.mark.parametrize(("severity", "deviation"), list(enumerate((0.04, 0.06, 0.08, 0.09, 0.10), start=1)))
def test_gaussian_noise_on_grey_has_the_deviation_of_its_severity(severity, deviation):
    noise = gaussian_noise(GREY, severity, generators(4)).astype(float) - 128
    assert GAUSSIAN_DEVIATIONS[severity - 1] == deviation
    assert noise.std() / 255 == pytest.approx(deviation, rel=0.02)
    assert noise.mean() == pytest.approx(-0.5, abs=0.5)  # cut off, not rounded
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03  # each channel its own


@pytest.mark.parametrize(("severity", "photons"), list(enumerate((500, 250, 100, 75, 50), start=1)))
def test_shot_noise_keeps_the_mean_and_has_the_variance_of_counted_photons(severity, photons):
    value = 100 / 255
    counted = shot_noise(fill(100, 64, 64, count=4), severity, generators(4)).astype(float)
    assert SHOT_PHOTONS[severity - 1] == photons
    assert 98.9 < counted.mean() < 100.1  # cut off, so up to a level is lost
    assert counted.std() / 255 == pytest.approx((value / photons) ** 0.5, rel=0.03)


def test_shot_noise_leaves_black_black():
    assert not shot_noise(fill(0), 5, generators(1)).any()


@pytest.mark.parametrize(("severity", "share"), list(enumerate((0.01, 0.02, 0.03, 0.05, 0.07), start=1)))
def test_impulse_noise_hits_its_share_of_values_with_black_and_white_alike(severity, share):
    found = impulse_noise(GREY, severity, generators(4))
    hit = found != 128
    assert IMPULSE_SHARES[severity - 1] == share
    assert hit.mean() == pytest.approx(share, rel=0.12)
    assert set(np.unique(found)) == {0, 128, 255}
    assert (found[hit] == 255).mean() == pytest.approx(0.5, abs=0.1)
    assert (hit.any(-1) != hit.all(-1)).any()  # channels are hit one by one
