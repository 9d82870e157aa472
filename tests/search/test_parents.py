"""Images, dense run and ticket that do not belong together are refused."""

from dataclasses import replace

import pytest

from lottery_pipeline.search.parents import check_dense_run, check_spec, check_ticket
from lottery_pipeline.tickets import TicketError
from tests.tiny import draw_images, extract, pretrain_tiny, spec_for
from tests.training.tiny import tiny_dense_images, tiny_dense_spec


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


@pytest.fixture(scope="module")
def ticket(images, dense):
    return extract("lth", images, dense, rounds=1).ticket


def test_what_belongs_together_passes(images, dense, ticket):
    assert ticket.header.parents == {"dense": dense.fingerprint, "images": images.fingerprint}
    check_dense_run(dense, images)
    check_ticket(ticket, images, dense)
    check_spec(dense.spec, images, "the dense run")


def test_a_dense_run_of_other_images_is_named_with_both_fingerprints(images, dense):
    other = draw_images(seed=1)
    message = f"trained on other images .{images.fingerprint[:12]}. than these .{other.fingerprint[:12]}"
    with pytest.raises(TicketError, match=message):
        check_dense_run(dense, other)


def test_a_ticket_of_other_images_is_refused(ticket):
    with pytest.raises(TicketError, match="the lth ticket was made from other images"):
        check_ticket(ticket, draw_images(seed=1))


def test_a_ticket_of_another_dense_run_is_refused(images, dense, ticket):
    with pytest.raises(TicketError, match="comes from another dense run"):
        check_ticket(ticket, images, replace(dense, fingerprint="0" * 64))


def test_a_model_for_images_of_another_kind_is_refused(images):
    spec = spec_for(images).model_copy(update={"num_classes": 7})
    with pytest.raises(
        TicketError, match="the model was made for images with num_classes 7, but these have 3"
    ):
        check_spec(spec, images, "the model")


def test_a_model_may_normalise_pixels_by_other_statistics_than_those_of_the_images(images):
    other = spec_for(images).model_copy(update={"mean": (0.0,), "std": (1.0,)})
    assert other.mean != images.mean
    check_spec(other, images, "the model")


def test_a_model_for_another_task_is_refused(images):
    masks = tiny_dense_images("segmentation")
    check_spec(tiny_dense_spec(masks), masks, "the model")
    with pytest.raises(
        TicketError, match="the model was made for keypoints, but these images are for segmentation"
    ):
        check_spec(tiny_dense_spec(masks, task="keypoints"), masks, "the model")
    with pytest.raises(TicketError, match="was made for classification, but these images are for segment"):
        check_spec(spec_for(images), masks, "the model")
