"""A ticket of LTR and its retraining, for the tests that retrain and measure."""

import pytest

from lottery_pipeline.evaluation.retraining import retrain_ticket
from tests.tiny import RECIPE, draw_images, extract, pretrain_tiny


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


@pytest.fixture(scope="module")
def extraction(images, dense):
    return extract("ltr", images, dense, density=0.3, rate=0.5)


@pytest.fixture(scope="module")
def retraining(images, extraction):
    return retrain_ticket(extraction.ticket, images, RECIPE, seed=0, device="cpu")
