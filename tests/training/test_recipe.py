import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.training.recipe import NAMED_RECIPES, Recipe, RecipeError
from tests.reference.training_naive import learning_rate_naively


def test_olth_is_the_recipe_of_the_spec():
    recipe = Recipe(name="olth")

    assert (recipe.optimiser, recipe.learning_rate, recipe.momentum) == ("sgd", 0.1, 0.9)
    assert (recipe.weight_decay, recipe.batch_size, recipe.epochs) == (1e-4, 128, 160)
    assert (recipe.schedule, recipe.milestones, recipe.gamma) == ("step", (80, 120), 0.1)
    assert (recipe.flip, recipe.crop_padding, recipe.crop_mode) == (True, 4, "zero")
    assert (recipe.loss_reduction, recipe.clip_norm) == ("mean", None)


def test_tlab_sums_the_loss_and_clips_the_norm():
    recipe = Recipe(name="tlab")

    assert (recipe.loss_reduction, recipe.clip_norm, recipe.weight_decay) == ("sum", 2.0, 1e-3)
    assert (recipe.batch_size, recipe.crop_mode, recipe.epochs) == (512, "reflect", 160)
    assert recipe.milestones == (79, 119)


@pytest.mark.parametrize(
    ("step", "steps_per_epoch", "images", "converted"),
    [
        (60, 20, 1280, 30),  # 3 epochs of 10 steps
        (60, 20, 1281, 30),  # the image that is left over makes no step
        (60, 20, 1282, 33),  # two make one
        (7, 20, 1280, 4),  # 3.5: the even one of two equally near steps
        (1, 20, 1280, 0),
        (0, 20, 1280, 0),
    ],
)
def test_a_step_is_converted_through_epochs(step, steps_per_epoch, images, converted):
    recipe = Recipe(learning_rate=0.1, epochs=10, batch_size=128)
    assert recipe.convert_step(step, steps_per_epoch, images) == converted


def test_explicit_keys_override_a_named_recipe():
    recipe = Recipe(name="olth", learning_rate=0.03, epochs=90, milestones=[30, 60])

    assert (recipe.learning_rate, recipe.epochs, recipe.milestones) == (0.03, 90, (30, 60))
    assert recipe.weight_decay == 1e-4


def test_iterations_take_the_place_of_a_named_recipes_epochs():
    recipe = Recipe(name="olth", iterations=500, schedule="cosine")

    assert (recipe.epochs, recipe.iterations, recipe.milestones) == (None, 500, ())


@pytest.mark.parametrize("name", NAMED_RECIPES)
def test_a_recipe_survives_json(name):
    recipe = Recipe(name=name, epochs=200, evaluation_interval=7)

    again = Recipe(**json.loads(json.dumps(recipe.model_dump(mode="json"))))

    assert again == recipe
    assert hash(again) == hash(recipe)


def test_the_name_alone_does_not_change_the_record():
    named = Recipe(name="olth")
    custom = Recipe(**{**named.model_dump(), "name": "custom"})

    assert named != custom
    assert named.record() == custom.record()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one of `epochs` and `iterations`"),
        ({"epochs": 3, "iterations": 9}, "exactly one of `epochs` and `iterations`"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"epochs": "abc"}, "valid integer"),
        ({"epochs": 2.5}, "valid integer"),
        ({"epochs": 3, "learning_rate": 0}, "greater than 0"),
        ({"epochs": 3, "learning_rate": float("nan")}, "finite number"),
        ({"epochs": 3, "learning_rate": float("inf")}, "finite number"),
        ({"epochs": 3, "momentum": 1.0}, "less than 1"),
        ({"epochs": 3, "weight_decay": -1e-4}, "greater than or equal to 0"),
        ({"epochs": 3, "optimiser": "lamb"}, "'sgd', 'nesterov', 'adam' or 'adamw'"),
        ({"epochs": 3, "optimiser": "nesterov", "momentum": 0}, "needs a momentum"),
        ({"epochs": 3, "schedule": "step"}, "needs `milestones`"),
        ({"epochs": 3, "milestones": [1]}, "belong to schedule 'step'"),
        ({"epochs": 3, "schedule": "step", "milestones": [3]}, "milestone 3 is not before the end"),
        ({"epochs": 9, "schedule": "step", "milestones": [4, 2]}, "must be strictly increasing"),
        ({"epochs": 9, "schedule": "step", "milestones": [0, 2]}, "greater than 0"),
        ({"epochs": 3, "warmup_epochs": 4}, "warmup_epochs 4 is longer than the training"),
        ({"epochs": 3, "batch_size": 1}, "greater than or equal to 2"),
        ({"epochs": 3, "label_smoothing": 1}, "less than 1"),
        ({"epochs": 3, "clip_norm": 0}, "greater than 0"),
        ({"epochs": 3, "precision": "float16"}, "'float32' or 'bfloat16'"),
        ({"epochs": 3, "evaluation_interval": 0}, "greater than or equal to 1"),
        ({"epochs": 3, "lr": 0.1}, "Extra inputs are not permitted"),
        ({"epochs": 3, "name": "best"}, "'custom', 'olth' or 'tlab'"),
        ({"name": "olth", "epochs": 100}, "milestone 120 is not before the end of the training (100 epochs)"),
    ],
)
def test_a_bad_recipe_is_refused_in_clear_words(given, words):
    with pytest.raises(ValidationError) as error:
        Recipe(**given)

    assert words in str(error.value)


@pytest.mark.parametrize(("images", "steps"), [(256, 2), (257, 2), (258, 3), (2, 1), (129, 1)])
def test_a_last_batch_of_one_image_is_dropped_and_a_larger_one_kept(images, steps):
    assert Recipe(epochs=1, batch_size=128).steps_per_epoch(images) == steps


def test_one_image_is_too_few():
    with pytest.raises(RecipeError, match="at least 2 training images, but there are 1"):
        Recipe(epochs=1).steps_per_epoch(1)


def test_steps_are_counted_in_epochs_or_iterations():
    assert Recipe(epochs=3, batch_size=10).total_steps(25) == 9
    assert Recipe(iterations=7, batch_size=10).total_steps(25) == 7


def test_the_rate_drops_at_the_milestones():
    recipe = Recipe(
        epochs=4, batch_size=10, learning_rate=1.0, schedule="step", milestones=[1.5, 3], gamma=0.1
    )

    assert recipe.learning_rates(20) == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_warm_up_rises_linearly_and_the_cosine_falls_from_its_end():
    recipe = Recipe(epochs=4, batch_size=10, learning_rate=1.0, schedule="cosine", warmup_epochs=1)

    rates = recipe.learning_rates(40)

    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[10] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.02


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 5},
        {"iterations": 17, "warmup_epochs": 1.3},
        {"epochs": 6, "schedule": "cosine", "warmup_epochs": 0.5},
        {"epochs": 6, "schedule": "step", "milestones": [0.4, 2, 5.9], "gamma": 0.3, "warmup_epochs": 2},
    ],
)
def test_rates_agree_with_the_definition_step_by_step(changes):
    recipe = Recipe(batch_size=4, learning_rate=0.2, **changes)

    expected = [learning_rate_naively(recipe, step, 19) for step in range(recipe.total_steps(19))]

    assert recipe.learning_rates(19) == pytest.approx(expected, rel=1e-12)


def test_a_milestone_after_the_last_iteration_is_refused_when_the_images_are_known():
    recipe = Recipe(iterations=10, batch_size=10, schedule="step", milestones=[3])

    assert len(recipe.learning_rates(30)) == 10
    with pytest.raises(RecipeError, match="milestone 3 is not before the end"):
        recipe.learning_rates(1000)


def test_the_rewind_step_rounds_fractions_of_an_epoch():
    recipe = Recipe(epochs=4, batch_size=10)

    assert recipe.rewind_step(30, 0) == 0
    assert recipe.rewind_step(30, 1.5) == 4  # 4.5 to the even neighbour
    assert recipe.rewind_step(30, 2) == 6


@pytest.mark.parametrize("epoch", [4, 3.99, -1, float("nan"), float("inf")])
def test_a_rewind_point_outside_the_training_is_refused(epoch):
    with pytest.raises(RecipeError, match="rewind_epoch"):
        Recipe(epochs=4, batch_size=10).rewind_step(30, epoch)


def test_replacing_the_length_or_the_schedule_drops_what_no_longer_fits():
    recipe = Recipe(name="olth")

    assert recipe.replace(iterations=9, schedule="constant").epochs is None
    assert recipe.replace(schedule="cosine").milestones == ()
    assert recipe.replace(learning_rate=0.5).milestones == (80, 120)
    assert recipe.replace(name="tlab") == Recipe(name="tlab")
    with pytest.raises(ValidationError, match="milestone 80 is not before the end"):
        recipe.replace(epochs=10)


@pytest.mark.parametrize(
    ("recipe", "known"),
    [
        (Recipe(name="olth"), "d76a0c281f3c666be23acda295c9b41027a4646d9b20ae6efb42ea7dbce1ff84"),
        (Recipe(name="tlab"), "51de83aa357b56514590404ad3c1767a7c68e1bbea99e62624c4eb170fa89f3d"),
        (
            Recipe(epochs=2, batch_size=8),
            "5361c45953ba11b50f8e407fe50c787a191ab0f2130a52855c726178d48a152f",
        ),
    ],
)
def test_recipes_from_before_adversaries_keep_their_fingerprints(recipe, known):
    assert fingerprint(recipe.record()) == known
    assert not {"adversary", "augmix"} & recipe.model_dump().keys()


def test_an_adversary_and_augmix_are_part_of_the_record():
    recipe = Recipe(epochs=2, adversary={"kind": "pgd", "eps": "4/255"}, augmix=True)

    again = Recipe(**json.loads(recipe.model_dump_json()))

    assert again == recipe
    assert recipe.record()["adversary"]["eps"] == 4 / 255
    assert recipe.record()["augmix"] is True
    records = [
        Recipe(epochs=2, **part).record() for part in ({}, {"augmix": True}, {"adversary": {"kind": "pgd"}})
    ]
    assert len({fingerprint(record) for record in [*records, recipe.record()]}) == 4


def test_an_adversary_is_replaced_as_a_whole_and_can_be_taken_away():
    recipe = Recipe(epochs=2, adversary={"kind": "pgd", "eps": "4/255"}, augmix=True)

    assert recipe.replace(learning_rate=0.5).adversary == recipe.adversary
    assert recipe.replace(adversary={"kind": "fgsm_rs"}).adversary.eps == 8 / 255
    assert recipe.replace(adversary=None, augmix=False).record() == Recipe(epochs=2).record()


def test_importing_recipes_imports_no_torch():
    code = "import sys, lottery_pipeline.training.recipe; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
