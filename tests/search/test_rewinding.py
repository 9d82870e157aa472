import pytest

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.options import SaliencyOptions
from lottery_pipeline.search.rewinding import find_first_step
from lottery_pipeline.tickets import TicketError
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import RECIPE, draw_images, find, pretrain_tiny, search_for


def recipe(batch_size, epochs=10):
    return Recipe(learning_rate=0.1, epochs=epochs, batch_size=batch_size)


@pytest.mark.parametrize(("batch_size", "first"), [(64, 60), (32, 120), (128, 30), (256, 15), (1280, 3)])
def test_three_epochs_are_three_epochs_under_any_batch_size(batch_size, first, caplog):
    assert find_first_step("snip", 60, 20, recipe(batch_size), 1280) == first
    assert caplog.text == ""


def test_a_point_between_two_steps_goes_to_the_nearest_and_says_so(caplog):
    assert find_first_step("cts", 7, 20, recipe(256), 1280) == 2
    assert "The cts ticket starts at epoch 0.35 of its dense run" in caplog.text
    assert "with batches of 256 the nearest step is 2, epoch 0.4." in caplog.text


def test_the_start_is_the_start(caplog):
    assert find_first_step("lth", 0, None, recipe(256), 1280) == 0
    assert caplog.text == ""


def test_a_training_that_has_ended_by_then_is_refused():
    with pytest.raises(TicketError, match="starts at step 30, but the retraining recipe ends after 30"):
        find_first_step("ltr", 60, 20, recipe(128, epochs=3), 1280)


def test_a_search_from_a_rewind_point_after_its_training_is_refused_before_it_begins():
    images = draw_images()
    dense = pretrain_tiny(images, rewind_epoch=2.0)
    with pytest.raises(TicketError, match="starts at step 2, but the retraining recipe ends after 2"):
        search_for(images, dense, RECIPE.replace(batch_size=40, epochs=2)).start("rewind")


@pytest.mark.parametrize("rewind_epoch", [1.0, 2.0])
def test_a_score_method_hands_the_grid_of_the_dense_run_on(rewind_epoch):
    images = draw_images()
    dense = pretrain_tiny(images, rewind_epoch=rewind_epoch)
    other = RECIPE.replace(batch_size=10)
    options = SaliencyOptions(density=0.5, start="rewind", images_per_class=2)
    ticket = find("snip", images, dense, options, other).ticket
    assert (dense.steps_per_epoch, ticket.header.steps_per_epoch) == (2, 2)
    assert retrain_ticket(ticket, images, other, seed=0, device="cpu").epochs == 3 - rewind_epoch
