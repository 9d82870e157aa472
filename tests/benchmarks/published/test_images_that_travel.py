"""The one file of images that travels gives the pixels of the folder it was made from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.published.images import find_files, pack_files, read_images, unpack_files
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            place = tmp_path / "images" / part / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.jpg")
    return tmp_path / "images"


def test_a_packed_file_holds_the_images_of_its_folder(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    assert pack_files(find_files(folder), path) == path.stat().st_size
    packed, direct = read_images(path), read_images(folder)
    assert packed.fingerprint == direct.fingerprint
    assert (len(packed.train), len(packed.validation), len(packed.test)) == (6, 0, 4)
    assert packed.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    request = ImageRequest(source="image_folder", root=str(folder), validation_fraction=0)
    usual = prepare_images(request, seed=0)
    assert [*packed.mean, *packed.std] == pytest.approx([*usual.mean, *usual.std])
    assert sorted(packed.test.images.flatten(1).tolist()) == sorted(usual.test.images.flatten(1).tolist())


def test_the_files_of_torchvision_are_read_without_a_validation_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    asked = []
    monkeypatch.setattr(
        "benchmarks.published.images.prepare_images", lambda *given, seed: asked.append(given)
    )
    read_images(tmp_path)
    ((request,),) = asked
    assert (request.source, request.root, request.download) == ("torchvision:CIFAR10", str(tmp_path), False)
    assert request.validation_fraction == 0


def test_what_is_no_packed_file_is_refused_with_its_name(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(ImageError, match=r"images\.npz is not a valid file of packed images"):
        read_images(path)
    pack_files(find_files(folder), path)
    with np.load(path) as arrays:
        damaged = {name: arrays[name] for name in arrays.files}
    np.savez(path, **{**damaged, "ends": damaged["ends"][::-1]})
    with pytest.raises(ImageError, match="not ascending"):
        unpack_files(path)
    with pytest.raises(ImageError, match="must hold train/<class>/"):
        read_images(folder / "train")
