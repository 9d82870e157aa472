"""Sets with masks: tiny folders in the layout that torchvision expects, read by torchvision."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lottery_pipeline.images.decoding_budget import DecodingBudget
from lottery_pipeline.images.dense_sets import FOLDERS, VOC_CLASSES, find_dense_set
from lottery_pipeline.images.mask_files import read_pairs
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.images.sources import check_request

NAMES = tuple(FOLDERS)
PNG = {"OxfordIIITPet": "L", "VOCSegmentation": "P", "Cityscapes": "L"}


def write(path: Path, pixels: np.ndarray, mode: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels, mode="P" if mode == "P" else None)
    if mode == "P":
        image.putpalette(list(range(256)) * 3)
    image.save(path, quality=95) if path.suffix == ".jpg" else image.save(path)


def picture(number: int, width: int = 12, height: int = 8) -> np.ndarray:
    """The colour tells the number; the middle square of 8x8 is brighter than the rest."""
    pixels = np.full((height, width, 3), (10 * number, 40, 90), dtype=np.uint8)
    pixels[:, (width - 8) // 2 : (width + 8) // 2] += 50
    return pixels


def mask(values: list[int], width: int = 12, height: int = 8) -> np.ndarray:
    """Four bands across the middle square; beside it the value 77, which no set has."""
    pixels = np.full((height, width), 77, dtype=np.uint8)
    left = (width - 8) // 2
    for band, value in enumerate(values):
        pixels[2 * band : 2 * band + 2, left : left + 8] = value
    return pixels


def write_pets(root: Path, counts: tuple[int, int] = (4, 2), values: list[int] | None = None) -> None:
    base = root / "oxford-iiit-pet"
    number = 0
    for part, count in zip(("trainval", "test"), counts, strict=True):
        lines = []
        for index in range(count):
            breed = ("Abyssinian", "great_pyrenees")[index % 2]
            name = f"{breed}_{number}"
            write(base / "images" / f"{name}.jpg", picture(number), "RGB")
            write(base / "annotations" / "trimaps" / f"{name}.png", mask(values or [1, 2, 3, 9]), "L")
            lines.append(f"{name} {index % 2 + 1} {index % 2 + 1} 1\n")
            number += 1
        (base / "annotations" / f"{part}.txt").write_text("".join(lines))


def write_voc(root: Path, counts: tuple[int, int] = (4, 2)) -> None:
    base = root / "VOCdevkit" / "VOC2012"
    number = 0
    for part, count in zip(("train", "val"), counts, strict=True):
        names = [f"2007_{number + index:06}" for index in range(count)]
        for name in names:
            write(base / "JPEGImages" / f"{name}.jpg", picture(number), "RGB")
            write(base / "SegmentationClass" / f"{name}.png", mask([0, 15, 20, 255]), "P")
            number += 1
        listing = base / "ImageSets" / "Segmentation" / f"{part}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("\n".join(names) + "\n")


def write_streets(root: Path, counts: tuple[int, int] = (4, 2)) -> None:
    number = 0
    for part, count in zip(("train", "val"), counts, strict=True):
        for index in range(count):
            city = ("ulm", "aachen")[index % 2]
            name = f"{city}_{number:06}_000019"
            write(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png", picture(number), "RGB")
            labels = mask([7, 33, 4, 26])
            write(root / "gtFine" / part / city / f"{name}_gtFine_labelIds.png", labels, "L")
            number += 1


WRITERS = {"OxfordIIITPet": write_pets, "VOCSegmentation": write_voc, "Cityscapes": write_streets}
BANDS = {
    "OxfordIIITPet": [0, 1, 2, 255],
    "VOCSegmentation": [0, 15, 20, 255],
    "Cityscapes": [0, 18, 255, 13],
}


def request(name: str, root: Path, **fields) -> ImageRequest:
    given = {"task": "segmentation", "image_size": 8, "validation_fraction": 0.25, **fields}
    return ImageRequest(source=f"torchvision:{name}", root=str(root), **given)


@pytest.mark.parametrize("name", NAMES)
def test_images_and_masks_are_read_cut_and_mapped_to_classes(tmp_path, name):
    WRITERS[name](tmp_path)
    splits = prepare_images(request(name, tmp_path), seed=0)
    assert splits.task == "segmentation"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (3, 1, 2)
    assert splits.image_size == (8, 8)
    expected = torch.tensor(BANDS[name]).repeat_interleave(2)[:, None].expand(8, 8)
    for part in (splits.train, splits.validation, splits.test):
        for labels in part.labels:
            assert torch.equal(labels, expected)
        # The brighter middle square alone is left; JPEG may be off by a few levels.
        assert bool(((part.images[:, 1].int() - 90).abs() < 12).all())
    numbers = [round((float(image[0].float().mean()) - 50) / 10) for image in splits.test.images]
    assert sorted(numbers) == [4, 5]


def test_the_classes_have_their_usual_names(tmp_path):
    sizes = {}
    for name in NAMES:
        WRITERS[name](tmp_path / name)
        sizes[name] = prepare_images(request(name, tmp_path / name), seed=0).class_names
    assert sizes["OxfordIIITPet"] == ("pet", "background", "border")
    assert sizes["VOCSegmentation"] == VOC_CLASSES
    assert len(VOC_CLASSES) == 21
    assert (VOC_CLASSES[0], VOC_CLASSES[15], VOC_CLASSES[20]) == ("background", "person", "tv monitor")
    cityscapes = sizes["Cityscapes"]
    assert len(cityscapes) == 19
    assert (cityscapes[0], cityscapes[13], cityscapes[18]) == ("road", "car", "bicycle")


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_resized_to_the_nearest_pixel_and_invent_no_class(tmp_path, name):
    WRITERS[name](tmp_path)
    splits = prepare_images(request(name, tmp_path, image_size=5, channels=1), seed=0)
    assert splits.train.images.shape[1:] == (1, 5, 5)
    assert set(splits.train.labels.unique().tolist()) <= set(BANDS[name])


def test_pets_are_also_breeds(tmp_path):
    write_pets(tmp_path, counts=(8, 2))
    asked = request("OxfordIIITPet", tmp_path, task="classification")
    splits = prepare_images(asked, seed=0)
    assert splits.task == "classification"
    assert splits.class_names == ("Abyssinian", "Great Pyrenees")
    assert splits.test.labels.tolist() == [0, 1]
    dense = prepare_images(request("OxfordIIITPet", tmp_path), seed=0)
    assert torch.equal(dense.train.images, splits.train.images)
    assert dense.fingerprint != splits.fingerprint


def test_linked_folders_are_part_of_the_content(tmp_path):
    write_streets(tmp_path / "store")
    for folder in FOLDERS["Cityscapes"]:
        (tmp_path / "root" / folder).mkdir(parents=True)
    for city in (tmp_path / "store").glob("*/*/*"):
        (tmp_path / "root" / city.relative_to(tmp_path / "store")).symlink_to(city)
    asked = request("Cityscapes", tmp_path / "root")
    before = find_dense_set(asked).content
    one = next((tmp_path / "store").rglob("*.png"))
    one.write_bytes(one.read_bytes() + b" ")
    assert find_dense_set(asked).content != before


@pytest.mark.parametrize("name", NAMES)
def test_the_content_changes_with_the_files(tmp_path, name):
    WRITERS[name](tmp_path)
    before = find_dense_set(request(name, tmp_path)).content
    assert find_dense_set(request(name, tmp_path)).content == before
    one = next(path for path in sorted(tmp_path.rglob("*")) if path.suffix == ".png")
    one.write_bytes(one.read_bytes() + b" ")
    assert find_dense_set(request(name, tmp_path)).content != before


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("OxfordIIITPet", "set data.download to true, or put its folders there"),
        ("VOCSegmentation", "set data.download to true, or put its folders there"),
        ("Cityscapes", "download it by hand"),
    ],
)
def test_missing_folders_are_named_with_what_to_do(tmp_path, name, advice):
    WRITERS[name](tmp_path)
    last = tmp_path / FOLDERS[name][-1]
    last.rename(last.with_name("elsewhere"))
    with pytest.raises(ImageError, match=f"{name} is not under .*{last.name} is missing.: {advice}"):
        check_request(request(name, tmp_path))


def test_cityscapes_is_never_downloaded(tmp_path):
    with pytest.raises(ImageError, match="needs an account"):
        check_request(request("Cityscapes", tmp_path, download=True))


def test_a_missing_set_is_left_to_torchvision_to_download(tmp_path, monkeypatch):
    from torchvision.datasets import OxfordIIITPet

    monkeypatch.setattr(OxfordIIITPet, "_download", lambda self: write_pets(tmp_path))
    source = find_dense_set(request("OxfordIIITPet", tmp_path, download=True))
    assert source.load(0).train_count == 4


def break_image(root: Path) -> None:
    next((root / "oxford-iiit-pet" / "images").iterdir()).write_bytes(b"broken")


def shrink_mask(root: Path) -> None:
    path = next((root / "oxford-iiit-pet" / "annotations" / "trimaps").iterdir())
    write(path, mask([1, 1, 1, 1], width=10), "L")


def empty_part(root: Path) -> None:
    (root / "oxford-iiit-pet" / "annotations" / "test.txt").write_text("")


def break_list(root: Path) -> None:
    (root / "oxford-iiit-pet" / "annotations" / "test.txt").write_text("one\n")


def add_breed(root: Path) -> None:
    path = root / "oxford-iiit-pet" / "annotations" / "test.txt"
    path.write_text(path.read_text().replace(" 2 2 1", " 3 2 1"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_image, r"_\d.jpg with the mask .* cannot be read"),
        (shrink_mask, r"the image has \(12, 8\) pixels, and its mask \(10, 8\)"),
        (empty_part, "a part has no images"),
        (break_list, "torchvision cannot read OxfordIIITPet"),
        (add_breed, "its parts differ in breeds"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path, damage, message):
    write_pets(tmp_path)
    damage(tmp_path)
    with pytest.raises(ImageError, match=message) as caught:
        prepare_images(request("OxfordIIITPet", tmp_path), seed=0)
    assert "\n" not in str(caught.value)


def test_an_image_that_takes_more_memory_than_there_is_is_named(tmp_path):
    write_pets(tmp_path)
    base = tmp_path / "oxford-iiit-pet"
    files = [(base / "images" / "Abyssinian_0.jpg", base / "annotations" / "trimaps" / "Abyssinian_0.png")]
    table = np.arange(256, dtype=np.uint8)
    with pytest.raises(ImageError, match=r"Abyssinian_0\.jpg would take 0 MiB of memory to decode"):
        read_pairs(files, table, side=8, channels=3, budget=DecodingBudget(1000))
    images, masks = read_pairs(files, table, side=8, channels=3, budget=DecodingBudget(10_000))
    assert (images.shape, masks.unique().tolist()) == ((1, 3, 8, 8), [1, 2, 3, 9])


def test_masks_without_a_class_are_refused(tmp_path):
    write_pets(tmp_path, values=[9, 9, 9, 9])
    with pytest.raises(ImageError, match="the train labels must have a pixel with a class"):
        prepare_images(request("OxfordIIITPet", tmp_path), seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_size_is_needed_because_the_images_have_none_in_common(tmp_path, name):
    with pytest.raises(ValueError, match="needs image_size"):
        request(name, tmp_path, image_size=None)


@pytest.mark.parametrize("name", ["VOCSegmentation", "Cityscapes"])
def test_a_task_without_labels_is_refused_with_the_allowed_one(tmp_path, name):
    with pytest.raises(ValueError, match="no labels for task 'classification'; allowed: segmentation"):
        request(name, tmp_path, task="classification")


@pytest.mark.parametrize("name", NAMES)
def test_images_that_do_not_fit_in_memory_are_refused_before_they_are_read(tmp_path, monkeypatch, name):
    WRITERS[name](tmp_path)
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: 1000)
    with pytest.raises(ImageError, match="6 images of 8x8 pixels would take"):
        prepare_images(request(name, tmp_path), seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_among_the_files_is_refused_and_not_waited_for(tmp_path, name):
    WRITERS[name](tmp_path)
    one = next(path for path in sorted(tmp_path.rglob("*")) if path.suffix == ".png")
    one.unlink()
    os.mkfifo(one)
    with pytest.raises(ImageError, match=f"{one.name} is not a regular file"):
        check_request(request(name, tmp_path))
