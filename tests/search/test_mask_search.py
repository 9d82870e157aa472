import pytest

from lottery_pipeline.options import MaskSearchOptions
from lottery_pipeline.search.mask_search import search_recipe
from lottery_pipeline.training.recipe import Recipe

IMAGES = 40
FALLING = {"optimiser": "adam", "schedule": "step"}


def make_recipe(length, *, training=None, batch_size=None, changes=FALLING, **options):
    training = training or Recipe(learning_rate=0.4, epochs=16, batch_size=20, flip=True, clip_norm=2)
    chosen = MaskSearchOptions(density=0.1, length=length, batch_size=batch_size, **options)
    return search_recipe(chosen, training, IMAGES, changes)


@pytest.mark.parametrize(("length", "steps"), [("short", 4), ("half", 16), ("long", 32), (3, 6), (100, 200)])
def test_a_length_is_a_part_of_the_training_or_epochs(length, steps):
    assert make_recipe(length).total_steps(IMAGES) == steps


def test_parts_of_a_training_that_is_counted_in_iterations():
    training = Recipe(iterations=31, batch_size=20)
    assert make_recipe("half", training=training).total_steps(IMAGES) == 16
    assert make_recipe("short", training=Recipe(iterations=1, batch_size=20)).total_steps(IMAGES) == 1


def test_another_batch_size_leaves_the_number_of_epochs():
    assert make_recipe("half", batch_size=10).total_steps(IMAGES) == 32
    assert make_recipe(5, batch_size=10).total_steps(IMAGES) == 20


def test_nothing_of_the_training_but_length_and_batch_size_is_taken_over():
    recipe = make_recipe("half", learning_rate=0.03, precision="bfloat16")
    assert recipe.batch_size == 20
    assert (recipe.learning_rate, recipe.precision, recipe.optimiser) == (0.03, "bfloat16", "adam")
    assert (recipe.flip, recipe.crop_padding, recipe.clip_norm, recipe.weight_decay) == (False, 0, None, 0)


def test_the_rate_falls_to_a_tenth_at_088_of_the_search():
    rates = make_recipe(10).learning_rates(IMAGES)
    assert rates == [0.1] * 18 + [pytest.approx(0.01)] * 2  # round(8.8) = 9 epochs of 2 steps


def test_a_search_too_short_for_whole_epochs_falls_within_its_last():
    rates = make_recipe(2).learning_rates(IMAGES)  # round(1.76) would be the end
    assert rates == [0.1] * 4  # round(1.76 * 2) steps are the end, too
    longer = make_recipe(2, batch_size=5).learning_rates(IMAGES)
    assert longer == [0.1] * 14 + [pytest.approx(0.01)] * 2


def test_other_schedules_stay_as_they_are():
    recipe = make_recipe("half", changes={"optimiser": "sgd", "schedule": "cosine"})
    assert recipe.milestones == ()
    assert recipe.learning_rates(IMAGES)[0] == 0.1
