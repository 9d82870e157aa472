"""Adversarial training and AugMix in the training loop: resumed, repeated, counted, and worth their price."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from lottery_pipeline.images.splits import ImageSet, assemble_splits
from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.adversary import Adversary
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.training import adversarial_batches
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.adversarial_batches import measure_robust_accuracy
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.dense import pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe, RecipeError
from lottery_pipeline.training.robust_gap import measure_robust_gap
from tests.training.test_resume import DeadlyCheckpoints, Killed, assert_same
from tests.training.tiny import TinyNet, tiny_dense_images, tiny_images, tiny_masks, tiny_set, untimed

SHORT = Recipe(epochs=2, batch_size=8, learning_rate=0.05, flip=True, crop_padding=1)
PGD = {"kind": "pgd", "eps": "8/255"}
CHANGES = {
    "pgd": {"adversary": PGD},
    "fgsm_rs": {"adversary": {"kind": "fgsm_rs"}},
    "pgd in L2, augmix": {"adversary": {"kind": "pgd", "norm": "L2", "eps": 0.5, "steps": 2}, "augmix": True},
    "augmix": {"augmix": True},
}


def run(kind="pgd", model=None, **options):
    model = TinyNet() if model is None else model
    masks = tiny_masks(model) if isinstance(model, TinyNet) else None
    options = {"images": tiny_images(), "seed": 3, "masks": masks, "device": "cpu", **options}
    return train(model, recipe=SHORT.replace(**CHANGES.get(kind, {})), **options)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_training_killed_inside_an_epoch_resumes_bit_for_bit(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)
    expected = run(kind)

    for last in range(6):
        folder = tmp_path / str(last)
        with pytest.raises(Killed):
            run(kind, checkpoints=DeadlyCheckpoints(folder, last=last, before=False))
        assert_same(run(kind, checkpoints=Checkpoints(folder)), expected)


@pytest.mark.parametrize("kind", CHANGES)
def test_equal_seeds_give_equal_trainings_and_the_generator_is_left_alone(kind):
    before = torch.get_rng_state()

    first, second, other, plain = run(kind), run(kind), run(kind, seed=4), run("plain")

    assert fingerprint_tensors(first.state) == fingerprint_tensors(second.state)
    assert untimed(first.history) == untimed(second.history)
    assert first.fingerprint == second.fingerprint != plain.fingerprint
    assert fingerprint_tensors(first.state) != fingerprint_tensors(other.state)
    assert fingerprint_tensors(first.state) != fingerprint_tensors(plain.state)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", CHANGES)
def test_pruned_weights_stay_zero(kind):
    masks = tiny_masks(TinyNet())
    result = run(kind)

    assert all(not result.state[name][~mask].any() for name, mask in masks.items())


def test_rows_tell_the_accuracy_under_attack_only_if_there_is_an_adversary():
    images = tiny_images()
    model = TinyNet()
    adversary = Adversary(kind="pgd")

    rows = run("pgd", model).history

    assert list(rows[0])[:6] == [
        *("epoch", "step", "train_loss", "train_accuracy"),
        *("validation_loss", "validation_accuracy"),
    ]
    measured = measure_robust_accuracy(model, images.validation, adversary, seed=3)
    assert rows[-1]["robust_validation_accuracy"] == measured
    assert all("robust_validation_accuracy" not in row for row in run("augmix").history)
    without = run("pgd", images=tiny_images(validation=0)).history
    assert all("robust_validation_accuracy" not in row for row in without)


def test_train_accuracy_is_that_of_the_attacked_images(monkeypatch):
    blank = torch.zeros(8, 1, 6, 6)
    monkeypatch.setattr(
        adversarial_batches, "perturb_batch", lambda network, images, labels, **_: blank[: len(labels)]
    )
    model = TinyNet(dropout=0.0)
    with torch.no_grad():
        model.fc.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))  # all blank images are class 0

    row = run("pgd", model, masks=None, images=tiny_images(train=24)).history[0]

    assert row["train_accuracy"] == pytest.approx(1 / 3)


def test_the_ball_is_one_of_pixels_although_the_model_normalises(monkeypatch):
    model = Classifier(Normalise([0.3], [0.01]), TinyNet())  # a step of 0.01 is one unit of the network
    pairs = []
    original = adversarial_batches.perturb_batch

    def watch(network, images, labels, **options):
        found = original(network, images, labels, **options)
        assert network is model
        pairs.append((images.clone(), found))
        return found

    monkeypatch.setattr(adversarial_batches, "perturb_batch", watch)
    run("pgd", model)

    assert len(pairs) == 6
    for images, found in pairs:
        torch.testing.assert_close((images * 255).round() / 255, images, rtol=0, atol=1e-6)
        assert float((found - images).abs().max()) == pytest.approx(8 / 255, abs=1e-5)
        assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_the_trigger_images_of_every_batch_are_not_attacked(monkeypatch):
    extra, seen = tiny_set(4, seed=9), []
    original = TinyNet.forward

    def watch(self, images):
        if self.training:
            seen.append(images.detach().clone())
        return original(self, images)

    monkeypatch.setattr(TinyNet, "forward", watch)
    run("pgd", extra=extra, extra_per_batch=4)

    shown = (seen[0][-4:] * 255).round().to(torch.uint8)
    torch.testing.assert_close(shown / 255, seen[0][-4:], rtol=0, atol=1e-6)
    assert {tuple(image.flatten().tolist()) for image in shown} == {
        tuple(image.flatten().tolist()) for image in extra.images
    }


def test_batch_norm_statistics_see_each_batch_once():
    model = TinyNet()

    run("pgd", model)

    assert int(model.norm.num_batches_tracked) == 6


def test_a_step_costs_two_thirds_more_for_each_step_of_its_attack():
    assert SHORT.passes_per_step() == 1
    assert SHORT.replace(**CHANGES["fgsm_rs"]).passes_per_step() == Fraction(5, 3)
    assert SHORT.replace(**CHANGES["pgd"]).passes_per_step() == Fraction(17, 3)
    assert run("plain").epochs == 2
    assert run("pgd").epochs == pytest.approx(34 / 3)
    assert isinstance(run("pgd").epochs, float)


def test_an_adversarial_training_may_run_in_bfloat16():
    recipe = SHORT.replace(adversary=PGD, precision="bfloat16")

    result = train(TinyNet(), tiny_images(), recipe, seed=0, device="cpu")

    assert all(tensor.isfinite().all() for tensor in result.state.values())


@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
def test_dense_tasks_are_refused(task):
    images = tiny_dense_images(task)
    recipe = Recipe(epochs=1, batch_size=8)

    with pytest.raises(RecipeError, match=f"an adversary needs images with one class each.*{task}"):
        train(TinyNet(), images, recipe.replace(adversary=PGD), seed=0, device="cpu")
    with pytest.raises(RecipeError, match=f"augmix is on, but it would move the images.*{task}"):
        train(TinyNet(), images, recipe.replace(augmix=True), seed=0, device="cpu")


def test_a_dense_run_with_an_adversary_has_its_robust_gap_and_survives_its_file(tmp_path):
    images, spec = digit_like_images()
    recipe = Recipe(epochs=2, batch_size=8, adversary={"kind": "fgsm_rs"}, augmix=True)

    dense = pretrain(images, spec, recipe, rewind_epoch=0, seed=0, device="cpu")

    gap = measure_robust_gap(dense.history)
    assert len(gap) == 3
    assert gap.items() <= dense.metrics.items()
    save_dense_run(dense, tmp_path / "dense.safetensors")
    assert load_dense_run(tmp_path / "dense.safetensors").recipe == recipe
    plain = pretrain(images, spec, Recipe(epochs=1, batch_size=8), rewind_epoch=0, seed=0, device="cpu")
    assert not gap.keys() & plain.metrics.keys()


def digit_like_images():
    images = tiny_images(size=8)
    spec = ModelSpec(
        name="lenet_300_100",
        num_classes=3,
        channels=1,
        image_size=(8, 8),
        mean=images.mean,
        std=images.std,
    )
    return images, spec


def test_augmix_comes_after_crop_and_flip_and_changes_neither():
    image_set, seen = tiny_set(16, seed=0), []
    for augmix in (False, True):
        batches = Batches(image_set, SHORT.replace(augmix=augmix), seed=2, device=torch.device("cpu"))
        batches.start_epoch(3)
        pixels, labels = batches.get(1)
        seen.append((pixels.clone(), labels))

    (plain, labels), (mixed, same) = seen
    assert torch.equal(labels, same)
    assert not torch.equal(plain, mixed)
    assert 0 <= float(mixed.min()) <= float(mixed.max()) <= 1 + 1e-6
    # A mixture holds its image in some share, so the two go together.
    centred = [part.flatten(1) - part.flatten(1).mean(1, keepdim=True) for part in (plain, mixed)]
    alike = torch.cosine_similarity(*centred)
    others = torch.cosine_similarity(centred[0], centred[1].roll(1, 0))
    assert float(alike.mean()) > float(others.mean()) + 0.3


def test_extra_images_are_not_mixed():
    extra = tiny_set(4, seed=9)
    batches = Batches(
        tiny_set(16, seed=0),
        SHORT.replace(augmix=True),
        seed=2,
        device=torch.device("cpu"),
        extra=extra,
        extra_per_batch=4,
    )
    batches.start_epoch(0)

    pixels, _ = batches.get(0)

    shown = (pixels[-4:] * 255).round().to(torch.uint8)
    assert {tuple(image.flatten().tolist()) for image in shown} == {
        tuple(image.flatten().tolist()) for image in extra.images
    }


def fragile_images(count: int, seed: int) -> ImageSet:
    """Two classes that one strong pixel row tells with some errors, and many faint pixels without any.

    The faint pixels differ by 10 grey values, which an eps of 16 takes away.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    signs = (2 * labels - 1).view(-1, 1, 1, 1)
    images = 128 + 5 * signs * torch.ones(count, 1, 6, 6)
    right = torch.where(torch.rand(count, generator=generator) < 0.9, 1, -1).view(-1, 1, 1)
    images[:, :, 0] = 128 + 60 * signs[..., 0] * right
    images += torch.randint(-4, 5, images.shape, generator=generator)
    return ImageSet(images.round().clamp(0, 255).to(torch.uint8), labels)


@pytest.mark.parametrize("kind", ["pgd", "fgsm_rs"])
def test_an_adversarially_trained_network_stands_where_a_standard_one_falls(kind):
    sets = [fragile_images(count, seed) for seed, count in enumerate((128, 64, 64))]
    images = assemble_splits(*sets, ["a", "b"])
    adversary = Adversary(kind=kind, eps="16/255")
    recipe = Recipe(epochs=20, batch_size=32, learning_rate=0.1, schedule="cosine")
    found = {}
    for name, own in (("standard", recipe), ("adversarial", recipe.replace(adversary=adversary))):
        torch.manual_seed(7)
        model = Classifier(Normalise([0.5], [0.1]), nn.Sequential(nn.Flatten(), nn.Linear(36, 2)))
        last = train(model, images, own, seed=0, device="cpu").history[-1]
        robust = measure_robust_accuracy(model, images.test, adversary, seed=0)
        found[name] = (last["validation_accuracy"], robust)

    assert found["standard"][0] > 0.95
    assert found["standard"][1] < 0.5
    assert found["adversarial"][1] > 0.75
