"""A dense run and trained tickets of tiny images, for the tests that evaluate several networks."""

import pytest

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.options import SaliencyOptions
from tests.tiny import RECIPE, draw_images, find, pretrain_tiny


@pytest.fixture(scope="module")
def images():
    return draw_images(side=6)


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images, "lenet_300_100")


@pytest.fixture(scope="module")
def trained(images, dense):
    found = find("snip", images, dense, SaliencyOptions(density=0.3, images_per_class=4), RECIPE, seed=0)
    return retrain_ticket(found.ticket, images, RECIPE, seed=0, device="cpu").ticket
