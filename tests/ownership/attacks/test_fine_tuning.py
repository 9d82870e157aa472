from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from lottery_pipeline.ownership.attacks import fine_tuning
from lottery_pipeline.ownership.attacks.fine_tuning import (
    fine_tune_adversarially,
    fine_tune_dense,
    fine_tune_head,
    fine_tune_sparse,
    read_features,
    regularise_features,
    smooth_labels,
    transfer,
)
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.training.loop import DivergenceError
from tests.ownership.attacks.victims import (
    RECIPE,
    draw_victim,
    logits_of,
    pattern_of,
    same_masks,
    weights_of,
)
from tests.tiny import draw_images, same_bits

FIRST, HEAD = "network.fc1.weight", "network.fc.weight"


@pytest.fixture(scope="module")
def victim():
    return draw_victim()


def test_with_the_mask_kept_weights_move_and_zeros_stay(victim):
    model = fine_tune_sparse(victim)
    assert same_masks(pattern_of(model, victim), victim.ticket.masks)
    assert not torch.equal(weights_of(model, victim)[FIRST], victim.ticket.state[FIRST])


def test_without_the_mask_pruned_weights_come_back(victim):
    pattern = pattern_of(fine_tune_dense(victim), victim)
    assert float(pattern[FIRST].float().mean()) > 0.9  # dead units have no gradient


def test_training_on_a_part_of_the_data_gives_another_network(victim):
    whole, part = fine_tune_sparse(victim), fine_tune_sparse(victim, data_share=0.1)
    assert not torch.equal(logits_of(whole), logits_of(part))


def test_training_the_last_layer_leaves_the_others_alone(victim):
    model = fine_tune_head(victim, layers="last", fresh_head=False)
    weights, before = weights_of(model, victim), victim.ticket.state
    assert torch.equal(weights[FIRST], before[FIRST])
    assert not torch.equal(weights[HEAD], before[HEAD])
    assert same_masks(pattern_of(model, victim), victim.ticket.masks)


def test_a_fresh_head_has_no_zeros(victim):
    pattern = pattern_of(fine_tune_head(victim, layers="all", fresh_head=True), victim)
    assert bool(pattern[HEAD].all())
    assert torch.equal(pattern[FIRST], victim.ticket.masks[FIRST])


def test_transfer_to_other_classes_replaces_the_head_and_the_pixel_statistics(victim):
    images = draw_images(side=8, classes=4, seed=1)
    model = transfer(replace(victim, other_images=images))
    weights = weights_of(model, victim)
    assert weights[HEAD].shape == (4, 100)
    assert torch.equal(weights[FIRST] != 0, victim.ticket.masks[FIRST])
    assert model.normalise.mean.flatten().tolist() == pytest.approx(images.mean)


def test_transfer_to_as_many_classes_keeps_the_head(victim):
    model = transfer(replace(victim, other_images=draw_images(side=8, seed=1)), learning_rate=1e-9)
    assert torch.allclose(weights_of(model, victim)[HEAD], victim.ticket.state[HEAD], atol=1e-6)
    assert same_masks(pattern_of(model, victim), victim.ticket.masks)


def test_transfer_needs_other_images_of_the_same_shape(victim):
    with pytest.raises(OwnershipError, match="needs other_images"):
        transfer(victim)
    with pytest.raises(OwnershipError, match="must have 1 channels and the size"):
        transfer(replace(victim, other_images=draw_images(side=4)))


def test_adversarial_copies_stay_close_and_raise_the_loss(victim):
    model = victim.build()
    pixels, labels = victim.images.train.images[:9] / 255, victim.images.train.labels[:9]
    copies = fine_tuning._perturb(model, pixels, labels, epsilon=0.05, steps=5)
    assert float((copies - pixels).abs().max()) <= 0.05 + 1e-6
    assert 0 <= float(copies.min()) <= float(copies.max()) <= 1
    with torch.no_grad():
        before, after = (functional.cross_entropy(model(images), labels) for images in (pixels, copies))
    assert after > before + 0.01


def test_adversarial_fine_tuning_keeps_the_mask_and_depends_on_epsilon(victim):
    weak, strong = (fine_tune_adversarially(victim, epsilon=epsilon) for epsilon in (0.01, 0.1))
    assert same_masks(pattern_of(strong, victim), victim.ticket.masks)
    assert not torch.equal(logits_of(weak), logits_of(strong))


def test_feature_regularisation_pulls_the_features_towards_the_stranger(victim):
    spec = victim.ticket.header.spec
    stranger = fine_tuning._build_stranger(victim, spec, "A29").eval()
    pixels = victim.images.test.images / 255

    def distance(model):
        with torch.no_grad():
            found, wanted = (read_features(net, "network.fc", pixels)[1] for net in (model, stranger))
        return float((functional.normalize(found) - functional.normalize(wanted)).square().sum(1).mean())

    longer = replace(victim, recipe=RECIPE.replace(epochs=5))
    free, pulled = (regularise_features(longer, strength=s, epoch_share=1.0) for s in (0.0, 20.0))
    assert distance(pulled) < 0.8 * distance(free)
    assert same_masks(pattern_of(pulled, victim), victim.ticket.masks)


def test_label_smoothing_changes_the_training(victim):
    plain, smooth = (smooth_labels(victim, smoothing=value) for value in (0.0, 0.3))
    assert not same_bits(plain.state_dict(), smooth.state_dict())
    assert same_masks(pattern_of(smooth, victim), victim.ticket.masks)


def test_a_diverging_attack_says_so(victim):
    with pytest.raises(DivergenceError, match="A27 diverged in epoch 1"):
        fine_tune_adversarially(victim, epsilon=0.01, learning_rate=1e30)


def test_the_head_is_the_last_linear_layer(victim):
    assert fine_tuning._find_head(victim.build(), victim.images) == "network.fc"
