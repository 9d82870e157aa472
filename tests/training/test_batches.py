import pytest
import torch
from torch import nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.training import batches as module
from lottery_pipeline.training.batches import Batches, split_normalisation
from lottery_pipeline.training.recipe import Recipe
from tests.reference.training_naive import batches_naively
from tests.training.tiny import TinyNet, tiny_set

CPU = torch.device("cpu")


def all_batches(image_set, recipe, *, seed=0, epoch=0, normalise=None):
    batches = Batches(image_set, recipe, seed=seed, device=CPU, normalise=normalise)
    batches.start_epoch(epoch)
    every = []
    for index in range(recipe.steps_per_epoch(len(image_set))):
        pixels, labels = batches.get(index)
        every.append((pixels.clone(), labels))
    return every


def labelled_by_index(count: int) -> ImageSet:
    return ImageSet(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.arange(count))


@pytest.mark.parametrize(("count", "sizes"), [(12, [5, 5, 2]), (10, [5, 5])])
def test_an_epoch_holds_every_image_once(count, sizes):
    batches = all_batches(labelled_by_index(count), Recipe(epochs=1, batch_size=5))

    assert [len(labels) for _, labels in batches] == sizes
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(count))


def test_a_last_batch_of_one_is_left_out():
    batches = all_batches(labelled_by_index(11), Recipe(epochs=1, batch_size=5))

    assert [len(labels) for _, labels in batches] == [5, 5]


def test_order_depends_on_seed_and_epoch_alone():
    image_set, recipe = labelled_by_index(40), Recipe(epochs=9, batch_size=40)

    def order(**where):
        return all_batches(image_set, recipe, **where)[0][1].tolist()

    assert order(seed=1, epoch=3) == order(seed=1, epoch=3)
    assert order(seed=1, epoch=3) != order(seed=1, epoch=4)
    assert order(seed=1, epoch=3) != order(seed=2, epoch=3)


def test_a_batch_does_not_need_the_batches_before_it():
    image_set = tiny_set(30, seed=0)
    recipe = Recipe(epochs=9, batch_size=8, flip=True, crop_padding=2)
    late = Batches(image_set, recipe, seed=3, device=CPU)
    late.start_epoch(5)

    pixels, labels = late.get(2)

    expected_pixels, expected_labels = all_batches(image_set, recipe, seed=3, epoch=5)[2]
    assert torch.equal(pixels, expected_pixels)
    assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("mirror", [0, 10**9], ids=["flipped when needed", "mirrored before"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": True},
        {"crop_padding": 2},
        {"flip": True, "crop_padding": 3, "crop_mode": "reflect"},
    ],
)
def test_batches_agree_with_those_made_image_by_image(changes, channels, mirror, monkeypatch):
    monkeypatch.setattr(module, "_LARGEST_MIRRORED", mirror)
    image_set = tiny_set(23, seed=4, channels=channels)
    recipe = Recipe(epochs=1, batch_size=6, **changes)

    fast = all_batches(image_set, recipe, seed=9, epoch=2)
    slow = batches_naively(image_set, recipe, seed=9, epoch=2)

    assert len(fast) == len(slow) == 4
    for (pixels, labels), (expected_pixels, expected_labels) in zip(fast, slow, strict=True):
        torch.testing.assert_close(pixels, expected_pixels, rtol=1e-6, atol=0)
        assert torch.equal(labels, expected_labels)


def build(channels: int) -> Classifier:
    mean, std = [0.1, 0.4, 0.7][:channels], [0.2, 0.5, 0.3][:channels]
    return Classifier(Normalise(mean, std), nn.Flatten())


@pytest.mark.parametrize("channels", [1, 3])
def test_normalising_on_the_way_is_normalising_in_the_model(channels):
    image_set, recipe = tiny_set(9, seed=0, channels=channels), Recipe(epochs=1, batch_size=5, flip=True)
    model = build(channels)
    network, normalise = split_normalisation(model)

    plain = all_batches(image_set, recipe)
    normal = all_batches(image_set, recipe, normalise=normalise)

    assert network is model.network
    for (pixels, _), (inputs, _) in zip(plain, normal, strict=True):
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(network(inputs), model(pixels), rtol=1e-5, atol=1e-6)


def test_only_a_built_model_without_hooks_is_split():
    hooked = build(1)
    hooked.register_forward_pre_hook(lambda module, inputs: None)
    listened = build(1)
    listened.normalise.register_forward_hook(lambda module, inputs, output: None)

    for model in (TinyNet(), hooked, listened):
        assert split_normalisation(model) == (model, None)


def test_every_image_is_flipped_about_half_of_the_time():
    left, right = [1, 0], [0, 1]
    images = torch.tensor([[[left]]] * 16, dtype=torch.uint8)
    image_set = ImageSet(images, torch.arange(16))
    flipped = torch.zeros(16)
    recipe = Recipe(epochs=400, batch_size=5, flip=True)
    batches = Batches(image_set, recipe, seed=0, device=CPU)

    for epoch in range(400):
        batches.start_epoch(epoch)
        for index in range(3):  # the sixteenth image of an epoch is a batch of one, left out
            pixels, labels = batches.get(index)
            mirrored = (pixels * 255).round().flatten(1) == torch.tensor(right)
            flipped[labels] += mirrored.all(1)

    rates = flipped / (400 * 15 / 16)
    assert bool(((rates > 0.4) & (rates < 0.6)).all())


def test_the_images_themselves_are_never_changed():
    image_set = tiny_set(12, seed=0)
    before = image_set.images.clone()

    all_batches(image_set, Recipe(epochs=1, batch_size=5, flip=True))
    all_batches(image_set, Recipe(epochs=1, batch_size=5, flip=True, crop_padding=1))

    assert torch.equal(image_set.images, before)
