from dataclasses import replace

import pytest
import torch

from lottery_pipeline.ownership.attacks.training import (
    answer,
    count_epochs,
    fine_tune,
    measure_gradients,
    restore_statistics,
    shorten,
    take_share,
    train_on,
)
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.recipe import Recipe
from tests.ownership.attacks.victims import RECIPE, draw_victim
from tests.tiny import same_bits


@pytest.mark.parametrize(
    ("recipe", "share", "epochs"),
    [
        (Recipe(epochs=160), 0.1, 16),
        (Recipe(epochs=160), 0.33, 53),
        (Recipe(epochs=1), 0.1, 1),
        (Recipe(iterations=40, batch_size=20), 0.5, 10),  # 2 steps an epoch
    ],
)
def test_a_share_of_epochs_is_rounded_and_at_least_one(recipe, share, epochs):
    assert count_epochs(draw_victim(recipe=recipe), share) == epochs


def test_a_short_recipe_has_a_constant_rate_and_a_mean_loss():
    recipe = shorten(Recipe(name="tlab"), learning_rate=0.01, epochs=2, label_smoothing=0.1)
    assert recipe.learning_rates(1024) == [0.01] * 4
    assert (recipe.loss_reduction, recipe.label_smoothing, recipe.flip) == ("mean", 0.1, True)


def test_a_share_of_the_data_is_a_random_subset_in_order():
    victim = draw_victim()
    part = take_share(victim, 0.1, "A1")
    rows = [image.tolist() for image in victim.images.train.images]
    places = [rows.index(image.tolist()) for image in part.images]
    assert len(part) == 4
    assert places == sorted(places) != [0, 1, 2, 3]
    assert take_share(victim, 1.0, "A1") is victim.images.train


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(OwnershipError, match="data_share must be above 0 and at most 1"):
        take_share(draw_victim(), share, "A1")


def test_other_training_images_have_another_fingerprint_and_no_validation_images():
    victim = draw_victim()
    splits = train_on(victim.images, take_share(victim, 0.5, "A1"))
    assert splits.fingerprint != victim.images.fingerprint
    assert (len(splits.train), len(splits.validation)) == (20, 0)


def test_fine_tuning_keeps_the_masks_it_is_given():
    victim = draw_victim()
    masks = {name: torch.zeros_like(mask) for name, mask in victim.ticket.masks.items()}
    model = fine_tune(victim, victim.build(), "A1", epochs=1, masks=masks)
    assert not any(bool(weight.any()) for weight in victim.weights(model).values())


def test_a_margin_holds_its_weights_while_others_fine_tune():
    victim = draw_victim()
    name = "network.fc2.weight"
    floors = torch.where(victim.ticket.masks[name], 1.0, 0.0)
    masks = victim.ticket.masks
    plain, held = (
        fine_tune(victim, victim.build(), "A19", epochs=2, masks=masks, margin=margin).get_parameter(name)
        for margin in (None, Margin({name: floors}, 5.0))
    )
    below = [
        int((w[masks[name]].abs() < 0.5 * w[masks[name]].square().mean().sqrt()).sum()) for w in (plain, held)
    ]
    assert below[1] < below[0] / 2


def test_gradients_are_those_of_the_mean_loss_pruned_weights_included():
    victim = draw_victim()
    model = victim.build()
    gradients = measure_gradients(victim, model, "A10", "gradient", 0)
    train = victim.images.train  # 40 images, all of which are drawn
    loss = torch.nn.functional.cross_entropy(model(train.images / 255), train.labels)
    loss.backward()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, model.get_parameter(name).grad, atol=1e-6)
    pruned = ~victim.ticket.masks["network.fc2.weight"]
    assert bool(gradients["network.fc2.weight"][pruned].any())


def test_statistics_are_those_of_one_pass_over_the_training_images():
    victim = draw_victim("resnet20", recipe=RECIPE)
    model = restore_statistics(victim, victim.build())
    pixels = victim.images.train.images.permute(0, 2, 3, 1).float().permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        hidden = model.network.conv1(model.normalise(pixels))
    assert torch.allclose(model.network.bn1.running_mean, hidden.mean((0, 2, 3)), atol=1e-4)
    assert same_bits(dict(model.named_parameters()), dict(victim.build().named_parameters()))


def test_answers_are_the_logits_of_the_ticket():
    victim = draw_victim()
    with torch.no_grad():
        expected = victim.build()(victim.images.test.images / 255)
    assert torch.allclose(answer(victim, victim.images.test), expected, atol=1e-5)


def test_only_a_trained_ticket_with_fitting_images_can_be_attacked():
    victim = draw_victim()
    untrained = replace(victim.ticket, header=victim.ticket.header.model_copy(update={"kind": "ticket"}))
    with pytest.raises(OwnershipError, match="need a trained ticket"):
        replace(victim, ticket=untrained)
    with pytest.raises(OwnershipError, match="the attacker's are"):
        replace(victim, images=draw_victim(side=4).images)
