import numpy as np
import pytest
import torch
from PIL import Image

from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.options.robustness import OFFLINE_STRANGERS, DetectionOptions
from lottery_pipeline.robustness.strangers import check_strangers, choose_indices, gather_strangers
from tests.images.builders import make_set, read_identities, write_classes, write_image, write_npz
from tests.images.test_torchvision_sets import write_idx_set


def make_images(*, channels: int = 3, side: int = 8, source: str = "arrays") -> ImageSplits:
    parts = [make_set([0, 1] * 10, channels=channels, side=side, seed=seed) for seed in range(3)]
    return assemble_splits(*parts, ["cat", "dog"], source=source)


def gather(
    images: ImageSplits, *sets: str, most: int | None = None, root: object = None, seed: int = 0
) -> dict[str, ImageSet]:
    options = DetectionOptions(sets=sets, images=most, root=root and str(root))
    return gather_strangers(images, options, seed=seed)


@pytest.fixture(scope="module")
def digits() -> ImageSplits:
    return prepare_images(ImageRequest(), seed=0)


@pytest.mark.parametrize("source", ["digits", "canvases", "arrays"])
@pytest.mark.parametrize("channels", [1, 3])
def test_offline_sets_have_the_shape_of_the_images_and_a_seed(source, channels):
    images = make_images(channels=channels, side=12, source=source)
    first, again, other = (gather(images, *OFFLINE_STRANGERS, most=9, seed=seed) for seed in (0, 0, 1))
    assert tuple(first) == OFFLINE_STRANGERS
    for name, found in first.items():
        assert found.images.shape == (9, channels, 12, 12)
        assert found.images.dtype == torch.uint8
        assert torch.equal(found.images, again[name].images)
        assert not torch.equal(found.images, other[name].images)


def test_noise_is_uniform_and_there_is_as_much_as_there_are_test_images():
    noise = gather(make_images(side=32), "noise")["noise"].images.double()
    assert len(noise) == 20
    assert float(noise.mean()) == pytest.approx(127.5, abs=1)
    assert float(noise.std()) == pytest.approx(256 / 12**0.5, abs=1)


def test_shuffled_images_are_the_test_images_with_their_pixels_elsewhere():
    images = make_images()
    shuffled = gather(images, "shuffled_pixels")["shuffled_pixels"].images
    packed = [
        (part.to(torch.int64) * torch.tensor([1, 256, 65536]).view(3, 1, 1)).sum(1).flatten(1)
        for part in (images.test.images, shuffled)
    ]
    assert torch.equal(packed[0].sort(1).values, packed[1].sort(1).values)
    assert ((packed[0] == packed[1]).float().mean(1) < 0.2).all()
    places = [(row[:, None] == other).int().argmax(0) for row, other in zip(*packed, strict=True)]
    assert len({tuple(place.tolist()) for place in places}) == 20


def test_plain_digits_are_the_strangers_of_other_images(digits):
    found = gather(make_images(channels=1), "other_digits")["other_digits"].images
    everything = torch.cat([digits.train.images, digits.validation.images, digits.test.images])
    assert found.shape == (20, 1, 8, 8)
    assert (found[:, None] == everything).all(dim=(2, 3, 4)).any(dim=1).all()


def test_canvases_are_the_strangers_of_plain_digits(digits):
    found = gather(digits, "other_digits", most=20)["other_digits"]
    assert found.images.shape == (20, 1, 8, 8)
    canvases = prepare_images(ImageRequest(source="canvases", channels=1, image_size=24), seed=0).test.images
    blurred = torch.nn.functional.avg_pool2d(canvases.double(), 3)
    for image in found.images.double():
        assert float((blurred - image).abs().mean((1, 2, 3)).min()) < 8


def test_digits_under_another_name_are_refused_as_strangers(tmp_path, digits):
    path = write_npz(
        tmp_path / "digits.npz",
        x=digits.train.images[:, 0].numpy(),
        y=digits.train.labels.numpy(),
    )
    request = ImageRequest(source="arrays", root=str(path), validation_fraction=0)
    copied = prepare_images(request, seed=0)
    reason = (
        r"[1-9]\d* of 259 images of 'other_digits' are also among the training, validation or test images"
    )
    with pytest.raises(ImageError, match=reason):
        gather(copied, "other_digits")


def test_a_folder_is_read_whatever_its_layout(tmp_path):
    write_classes(tmp_path, {"stripes": 3, "deep/er": 2}, first=10)
    write_image(tmp_path / "flat.PNG", 99, size=(40, 20))
    write_image(tmp_path / ".hidden" / "a.png", 7)
    (tmp_path / "notes.txt").write_text("not an image")
    name = f"folder:{tmp_path}"
    found = gather(make_images(), name)[name]
    assert found.images.shape == (6, 3, 8, 8)
    assert sorted(read_identities(found.images)) == [10, 11, 12, 13, 14, 99]
    some = gather(make_images(), name, most=2)[name]
    assert len(set(read_identities(some.images))) == 2


def test_images_that_are_not_square_get_strangers_that_are_not(tmp_path):
    write_image(tmp_path / "a.png", 3, size=(64, 64))
    parts = [make_set([0, 1], side=8, seed=seed) for seed in range(3)]
    wide = [type(part)(part.images[:, :, 1:7].contiguous(), part.labels) for part in parts]
    images = assemble_splits(*wide, ["cat", "dog"])
    name = f"folder:{tmp_path}"
    for found in gather(images, "noise", "shuffled_pixels", "other_digits", name, most=2).values():
        assert found.images.shape[1:] == (3, 6, 8)


def test_only_the_chosen_files_of_a_folder_are_decoded(tmp_path):
    for number in range(5):
        write_image(tmp_path / f"{number}.png", number)
    chosen = set(choose_indices(5, 2, seed=0).tolist())
    for number in set(range(5)) - chosen:
        (tmp_path / f"{number}.png").write_bytes(b"broken")
    name = f"folder:{tmp_path}"
    assert set(read_identities(gather(make_images(), name, most=2)[name].images)) == chosen
    with pytest.raises(ImageError, match="not a readable JPEG or PNG"):
        gather(make_images(), name)


def test_a_folder_with_test_images_is_refused_with_their_number(tmp_path):
    images = make_images()
    for number in range(3):
        Image.fromarray(images.test.images[number].permute(1, 2, 0).numpy()).save(tmp_path / f"{number}.png")
    write_image(tmp_path / "new.png", 5)
    name = f"folder:{tmp_path}"
    with pytest.raises(ImageError, match=r"3 of 4 images of 'folder:.*' are also among the training"):
        gather(images, name)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_one_image_in_common_is_enough_and_is_found_in_every_part(tmp_path, part):
    images = make_images(channels=1)
    Image.fromarray(getattr(images, part).images[7, 0].numpy()).save(tmp_path / "copy.png")
    write_image(tmp_path / "new.png", 5)
    with pytest.raises(ImageError, match="1 of 2 images"):
        gather(images, f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.mkdir(), r"has no images \(.jpg"),
        (lambda folder: folder.write_text(""), "is not a folder"),
    ],
)
def test_a_folder_without_images_is_refused_before_any_work(tmp_path, prepare, reason):
    prepare(tmp_path / "strangers")
    options = DetectionOptions(sets=(f"folder:{tmp_path / 'strangers'}",))
    with pytest.raises(ImageError, match=reason):
        check_strangers(options, source="digits")


def test_the_test_part_of_a_torchvision_set_is_resized_like_the_images(tmp_path):
    pixels, _ = write_idx_set(tmp_path, "KMNIST")
    images = make_images(side=28)
    found = gather(images, "torchvision:KMNIST", root=tmp_path)["torchvision:KMNIST"].images
    assert np.array_equal(found, np.repeat(pixels[20:, None], 3, axis=1))
    small = gather(make_images(channels=1), "torchvision:KMNIST", root=tmp_path, most=4)
    assert small["torchvision:KMNIST"].images.shape == (4, 1, 8, 8)


@pytest.mark.parametrize(
    ("name", "root", "reason"),
    [
        ("torchvision:MNIST", "here", "what the network is trained on"),
        ("torchvision:KMNIST", "here", "KMNIST is not under"),
        ("torchvision:KMNIST", None, "need root"),
        ("torchvision:Cityscapes", "here", "allowed are torchvision:MNIST, "),
        ("torchvision:mnist", "here", "allowed are torchvision:MNIST, "),
    ],
)
def test_torchvision_sets_are_checked_before_any_work(tmp_path, name, root, reason):
    options = DetectionOptions(sets=(name,), root=root and str(tmp_path))
    with pytest.raises(ImageError, match=reason):
        check_strangers(options, source="torchvision:MNIST")


def test_the_training_set_under_another_source_is_refused(tmp_path):
    write_idx_set(tmp_path, "MNIST")
    request = ImageRequest(
        source="torchvision:MNIST", root=str(tmp_path), validation_fraction=0, image_size=8
    )
    copied = prepare_images(request, seed=0)
    renamed = assemble_splits(
        copied.train, copied.validation, copied.test, copied.class_names, source="arrays"
    )
    with pytest.raises(ImageError, match="10 of 10 images of 'torchvision:MNIST' are also among"):
        gather(renamed, "torchvision:MNIST", root=tmp_path)


def test_chosen_indices_are_distinct_ascending_and_seeded():
    chosen = choose_indices(100, 30, seed=0)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) == 30
    assert torch.equal(chosen, choose_indices(100, 30, seed=0))
    assert not torch.equal(chosen, choose_indices(100, 30, seed=1))
    assert (
        choose_indices(5, None, seed=0).tolist() == choose_indices(5, 9, seed=0).tolist() == [0, 1, 2, 3, 4]
    )
