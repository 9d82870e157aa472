"""Batches of adversarial training: where an attack ends, and what it leaves alone."""

import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.adversary import Adversary
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.training import adversarial_batches
from lottery_pipeline.training.adversarial_batches import (
    draw_start,
    measure_robust_accuracy,
    perturb_batch,
)
from tests.training.tiny import TinyNet
from tests.user_networks import flat_batch_statistics

EPS = 8 / 255
KINDS = {
    "pgd": Adversary(kind="pgd"),
    "fgsm_rs": Adversary(kind="fgsm_rs"),
    "L2": Adversary(kind="pgd", norm="L2", eps=0.5),
}


def draw_images(count: int = 6, *, low: float = 0.0, high: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = low + (high - low) * torch.rand(count, 1, 6, 6, generator=generator)
    return images.contiguous(memory_format=torch.channels_last)


def linear_model(weights: Tensor) -> nn.Module:
    """Two classes: the logit of class 1 is the product of weights and pixels, that of class 0 is 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(weights.numel(), 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.zeros_like(weights), weights]))
        model[1].bias.zero_()
    return model


def linear_weights() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(36, generator=generator)


def lengths(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)


def test_pgd_ends_in_the_corner_of_the_ball_that_a_linear_model_fears_most():
    images, weights = draw_images(low=0.1, high=0.9), linear_weights()
    labels = torch.tensor([0, 1, 0, 1, 0, 1])

    adversary = Adversary(kind="pgd", steps=8)  # of eps / 4: across the ball

    found = perturb_batch(linear_model(weights), images, labels, adversary)

    worse = torch.where(labels == 0, 1.0, -1.0)[:, None] * weights.sign()
    expected = images + EPS * worse.view(6, 1, 6, 6)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_fgsm_rs_with_a_step_across_the_ball_reaches_the_same_corner():
    images, weights = draw_images(low=0.1, high=0.9), linear_weights()
    across = Adversary(kind="fgsm_rs", step_size=2.01 * EPS)

    found = perturb_batch(linear_model(weights), images, torch.zeros(6, dtype=torch.long), across)

    torch.testing.assert_close(found, images + EPS * weights.sign().view(1, 1, 6, 6), rtol=0, atol=1e-6)


def test_fgsm_rs_adds_one_step_to_its_random_start():
    images, weights, adversary = draw_images(low=0.2, high=0.8), linear_weights(), KINDS["fgsm_rs"]
    model = linear_model(weights)
    torch.manual_seed(5)
    start = draw_start(images, adversary)
    torch.manual_seed(5)

    found = perturb_batch(model, images, torch.zeros(6, dtype=torch.long), adversary)

    step = 1.25 * EPS * weights.sign().view(1, 1, 6, 6)
    expected = torch.clamp(start - images + step, -EPS, EPS)
    torch.testing.assert_close(found - images, expected, rtol=0, atol=1e-6)
    assert bool((found - images).abs().min() < 0.9 * EPS)  # not every pixel has reached the edge


def test_pgd_under_l2_ends_at_the_edge_of_the_ball_along_the_weights():
    images, weights = draw_images(low=0.4, high=0.6), linear_weights()
    adversary = Adversary(kind="pgd", norm="L2", eps=0.3, steps=40)

    found = perturb_batch(linear_model(weights), images, torch.zeros(6, dtype=torch.long), adversary)

    expected = images + 0.3 * (weights / weights.norm()).view(1, 1, 6, 6)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)
    torch.testing.assert_close(lengths(found - images), torch.full((6,), 0.3), rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_images_stay_in_the_ball_and_in_the_box(kind):
    images = draw_images(64)
    images[:8], images[8:16] = 0.0, 1.0
    adversary = KINDS[kind]
    labels = torch.arange(64) % 3

    for found in (draw_start(images, adversary), perturb_batch(TinyNet(), images, labels, adversary)):
        change = found - images
        far = change.flatten(1).abs().amax(1) if adversary.norm == "Linf" else lengths(change)
        assert float(far.max()) <= adversary.eps + 1e-6
        assert float(far.max()) > 0.5 * adversary.eps
        assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_the_start_is_uniform_in_the_ball():
    images = torch.full((4000, 1, 1, 2), 0.5)

    linf = draw_start(images, KINDS["pgd"], torch.Generator().manual_seed(0)) - 0.5
    l2 = lengths(
        draw_start(images, Adversary(kind="pgd", norm="L2", eps=0.4), torch.Generator().manual_seed(0)) - 0.5
    )

    assert float(linf.std()) == pytest.approx(EPS / 3**0.5, rel=0.03)
    assert float((l2 < 0.2).float().mean()) == pytest.approx(1 / 4, abs=0.03)  # a disc of half the radius


@pytest.mark.parametrize("kind", KINDS)
def test_an_attack_leaves_statistics_modes_and_gradients_alone_and_draws_nothing_but_its_start(kind):
    model, images, labels = TinyNet(dropout=0.5), draw_images(), torch.arange(6) % 3
    model.train()
    model.norm.eval()  # as a frozen module
    before = fingerprint_tensors(model.state_dict())

    torch.manual_seed(3)
    found = perturb_batch(model, images, labels, KINDS[kind])
    after = torch.get_rng_state()

    assert fingerprint_tensors(model.state_dict()) == before
    assert (model.training, model.dropout.training, model.norm.training) == (True, True, False)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not found.requires_grad
    torch.manual_seed(3)
    draw_start(images, KINDS[kind])
    assert torch.equal(torch.get_rng_state(), after)


def test_extra_images_are_not_attacked():
    images, labels = draw_images(), torch.arange(6) % 3

    found = perturb_batch(TinyNet(), images, labels, KINDS["pgd"], extra=2)

    assert torch.equal(found[4:], images[4:])
    assert bool((found[:4] != images[:4]).flatten(1).any(1).all())


def test_an_image_is_attacked_alike_whatever_stands_beside_it():
    model, images, labels = TinyNet(), draw_images(), torch.arange(6) % 3
    adversary = Adversary(kind="pgd", steps=40)  # enough to forget the start

    torch.manual_seed(0)
    together = perturb_batch(model, images, labels, adversary)
    torch.manual_seed(0)
    alone = perturb_batch(model, images[:2], labels[:2], adversary)

    torch.testing.assert_close(together[:2], alone, rtol=0, atol=1e-4)


def test_in_bfloat16_the_images_stay_float32():
    images, labels = draw_images(), torch.arange(6) % 3

    found = perturb_batch(TinyNet(), images, labels, KINDS["pgd"], precision="bfloat16")

    assert found.dtype == torch.float32
    assert float((found - images).abs().max()) <= EPS + 1e-6


def test_robust_accuracy_of_a_linear_model_is_the_share_of_images_beyond_the_margin():
    generator = torch.Generator().manual_seed(4)
    pixels = torch.randint(60, 196, (200, 1, 6, 6), dtype=torch.uint8, generator=generator)
    weights = linear_weights()
    logits = (pixels.flatten(1) / 255) @ weights
    model = linear_model(weights)
    with torch.no_grad():
        model[1].bias[1] = -logits.median()
    logits = logits - logits.median()
    labels = (logits > 0).long()
    labels[:10] = 1 - labels[:10]  # wrong already
    margin = torch.where(labels == 1, logits, -logits) / weights.abs().sum()

    found = measure_robust_accuracy(model, ImageSet(pixels, labels), KINDS["fgsm_rs"], seed=0)

    expected = float((margin > EPS).float().mean())
    assert 0.2 < expected < 0.9
    assert found == pytest.approx(expected, abs=1e-6)


def test_robust_accuracy_depends_on_the_seed_alone():
    model, images = TinyNet(), draw_images(60)
    image_set = ImageSet((images * 255).to(torch.uint8), torch.arange(60) % 3)
    adversary = Adversary(kind="pgd", eps=0.2)
    state = torch.get_rng_state()

    first = measure_robust_accuracy(model, image_set, adversary, seed=1)
    torch.rand(7)
    again = measure_robust_accuracy(model, image_set, adversary, seed=1)

    assert first == again
    torch.set_rng_state(state)
    assert model.training


def test_of_many_images_sorted_by_class_1000_are_measured_evenly_spread():
    looked_at = []

    class Constant(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            looked_at.append(len(images))
            return torch.tensor([1.0, 0.0]).expand(len(images), 2) + 0 * images.flatten(1)[:, :2]

    labels = (torch.arange(2500) >= 1000).long()
    image_set = ImageSet(torch.zeros(2500, 1, 2, 2, dtype=torch.uint8), labels)

    found = measure_robust_accuracy(Constant(), image_set, KINDS["fgsm_rs"], seed=0)

    assert found == 0.4
    assert sum(looked_at) == 11 * 1000  # ten steps, and the answer


def test_the_last_image_is_not_attacked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adversarial_batches, "_LARGEST_BATCH", 2)
    model = flat_batch_statistics(2, 1, (4, 4))
    image_set = ImageSet(torch.zeros(5, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 0, 1, 0]))
    assert 0 <= measure_robust_accuracy(model, image_set, KINDS["fgsm_rs"], seed=0) <= 1
