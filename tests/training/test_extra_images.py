"""Images that join every batch beside the training images."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.models.classifier import Normalise
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.batches import Batches
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe, RecipeError
from tests.reference.training_naive import make_optimiser
from tests.training.tiny import TinyNet, tiny_images, tiny_masks, tiny_set, untimed

CPU = torch.device("cpu")
AUGMENTED = Recipe(epochs=9, batch_size=8, learning_rate=0.05, flip=True, crop_padding=2)


def open_batches(extra=None, *, epoch, seed=3, recipe=AUGMENTED, count=22, per_batch=0, normalise=None):
    batches = Batches(
        tiny_set(count, seed=0),
        recipe,
        seed=seed,
        device=CPU,
        normalise=normalise,
        extra=extra,
        extra_per_batch=per_batch,
    )
    batches.start_epoch(epoch)
    return batches


def numbered(count: int) -> ImageSet:
    """Images that cannot be mistaken for each other, labelled by their index."""
    generator = torch.Generator().manual_seed(11)
    images = torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.arange(count))


@pytest.mark.parametrize(("index", "clean"), [(0, 8), (2, 6)], ids=["full", "the smaller last"])
def test_extra_images_follow_the_training_images_and_are_normalised_but_neither_cropped_nor_flipped(
    index, clean
):
    extra, normalise = numbered(7), Normalise([0.4], [0.2])

    pixels, labels = open_batches(extra, epoch=4, per_batch=5, normalise=normalise).get(index)
    alone, their_labels = open_batches(epoch=4, normalise=normalise).get(index)

    assert pixels.shape == (clean + 5, 1, 6, 6)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(pixels[:clean], alone)
    assert torch.equal(labels[:clean], their_labels)
    expected = (extra.images[labels[clean:]].float() / 255 - 0.4) / 0.2
    torch.testing.assert_close(pixels[clean:], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("per_batch", [1, 5, 7, 17])
def test_every_extra_image_is_seen_equally_often(per_batch):
    seen = []
    for epoch in range(5):
        batches = open_batches(numbered(7), epoch=epoch, per_batch=per_batch)
        seen += [label for index in range(3) for label in batches.get(index)[1][-per_batch:].tolist()]

    assert len(seen) == 15 * per_batch
    full = len(seen) // 7
    for number in range(full):
        assert sorted(seen[7 * number : 7 * number + 7]) == list(range(7))
    if full > 1:
        assert seen[:7] != seen[7:14]


def test_the_extra_images_of_a_batch_depend_on_seed_epoch_and_place_alone():
    running = open_batches(numbered(7), epoch=0, per_batch=5)
    for epoch in range(4):
        running.start_epoch(epoch)

    def chosen(batches):
        return batches.get(1)[1][-5:].tolist()

    assert chosen(running) == chosen(open_batches(numbered(7), epoch=3, per_batch=5))
    assert chosen(running) != chosen(open_batches(numbered(7), epoch=2, per_batch=5))
    assert chosen(running) != chosen(open_batches(numbered(7), epoch=3, per_batch=5, seed=4))


def run(extra=None, per_batch=0, *, recipe=None, checkpoints=None, on_record=None, **options):
    model = TinyNet(**options)
    return train(
        model,
        tiny_images(),
        recipe or Recipe(epochs=3, batch_size=8, learning_rate=0.05, flip=True, crop_padding=1),
        seed=3,
        masks=tiny_masks(model),
        device="cpu",
        checkpoints=checkpoints,
        on_record=on_record,
        extra=extra,
        extra_per_batch=per_batch,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_over_all_images_and_the_history_over_the_training_images(reduction):
    recipe = Recipe(
        iterations=2,
        batch_size=8,
        learning_rate=0.01,
        weight_decay=0.01,
        label_smoothing=0.1,
        loss_reduction=reduction,
    )
    extra = tiny_set(5, seed=9)
    model = TinyNet(dropout=0.0)
    masks = tiny_masks(model)
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    optimiser = make_optimiser(list(model.parameters()), recipe)
    clean_losses, hits = [], 0
    for step in range(2):
        batches = open_batches(extra, epoch=0, recipe=recipe, per_batch=4)
        pixels, labels = batches.get(step)
        logits = model(pixels)
        losses = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
        optimiser.zero_grad()
        (losses.sum() / (len(labels) if reduction == "mean" else 1)).backward()
        for name, mask in masks.items():
            model.get_parameter(name).grad.mul_(mask)
        optimiser.step()
        clean_losses += losses[:8].tolist()
        hits += int((logits[:8].argmax(1) == labels[:8]).sum())

    result = run(extra, 4, recipe=recipe, dropout=0.0)

    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(result.state[name], tensor, rtol=1e-4, atol=1e-6)
    (row,) = result.history
    assert row["train_loss"] == pytest.approx(sum(clean_losses) / 16, rel=1e-4)
    assert row["train_accuracy"] == hits / 16


def test_a_training_with_extra_images_killed_at_any_step_resumes_bit_for_bit(tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    class DeadlyCheckpoints(Checkpoints):
        def save(self, *arguments):
            super().save(*arguments)
            raise KilledError

    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)
    extra = tiny_set(5, seed=9)
    expected = run(extra, 4)
    deaths = 0
    while True:
        try:
            result = run(extra, 4, checkpoints=DeadlyCheckpoints(tmp_path, interval_seconds=0))
        except KilledError:
            deaths += 1
            if deaths == 9:  # the ninth save is that of the finished training
                result = run(extra, 4, checkpoints=Checkpoints(tmp_path))
                break

    assert fingerprint_tensors(result.state) == fingerprint_tensors(expected.state)
    assert untimed(result.history) == untimed(expected.history)


def test_extra_images_belong_to_the_identity_of_a_training(tmp_path):
    extra, other = tiny_set(5, seed=9), tiny_set(5, seed=10)
    checkpoints = Checkpoints(tmp_path)
    plain = run(checkpoints=checkpoints)
    variants = [
        plain,
        *(run(*given, checkpoints=checkpoints) for given in ((extra, 4), (extra, 3), (other, 4))),
    ]

    assert len({result.fingerprint for result in variants}) == 4
    assert len({fingerprint_tensors(result.state) for result in variants}) == 4


def test_without_extra_images_the_identity_of_a_training_is_what_it_was(monkeypatch):
    from lottery_pipeline.training import loop

    records, hash_record = [], loop.fingerprint
    monkeypatch.setattr(loop, "fingerprint", lambda record: records.append(record) or hash_record(record))
    run()
    run(tiny_set(5, seed=9), 4)

    assert "extra" not in records[0]
    assert records[1].pop("extra")["per_batch"] == 4
    assert records[1] == records[0]


@pytest.mark.parametrize(
    ("extra", "per_batch", "words"),
    [
        (None, 2, "extra_per_batch is 2, but there are no extra images"),
        (tiny_set(4, seed=0), 0, "4 extra images, 0 per batch"),
        (tiny_set(0, seed=0), 2, "0 extra images, 2 per batch"),
        (tiny_set(4, seed=0, size=7), 2, r"shape \(1, 7, 7\), but the training images \(1, 6, 6\)"),
        (ImageSet(tiny_set(4, seed=0).images, torch.tensor([0, 1, 2, 3])), 2, "must be from 0 to 2"),
    ],
)
def test_extra_images_that_do_not_fit_are_refused(extra, per_batch, words):
    with pytest.raises(RecipeError, match=words):
        run(extra, per_batch)
