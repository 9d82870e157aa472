import pickle
import struct

import numpy as np
import pytest
import scipy.io
import torch
from torchvision import datasets

from lottery_pipeline.images.request import TORCHVISION_CLASSES, ImageError, ImageRequest
from lottery_pipeline.images.torchvision_sets import FILES, find_torchvision_set

RANDOM = np.random.default_rng(0)


def find(root, name: str, **fields):
    return find_torchvision_set(ImageRequest(source=f"torchvision:{name}", root=str(root), **fields))


def write_idx(path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def write_idx_set(root, name: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = RANDOM.integers(0, 256, (30, 28, 28), dtype=np.uint8), np.arange(30, dtype=np.uint8) % 10
    for file in FILES[name]:
        part = slice(0, 20) if "train" in file else slice(20, 30)
        write_idx(root / file, images[part] if "images" in file else labels[part])
    return images, labels


class OldNumpyType:
    """Pickles as the type of an array did in the NumPy that wrote the CIFAR files."""

    def __reduce__(self):
        return np.dtype, ("u1", 0, 1)


def write_pickle(path, record: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(record | {"type": OldNumpyType()}))


def test_the_table_of_files_covers_every_class():
    assert set(FILES) == set(TORCHVISION_CLASSES)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files_are_read(tmp_path, name):
    pixels, labels = write_idx_set(tmp_path, name)
    images = find(tmp_path, name).load(0)
    assert images.train_count == 20
    assert images.labels.tolist() == labels.tolist()
    assert len(images.class_names) == 10
    assert np.array_equal(images.read(np.array([29, 3]))[:, 0].numpy(), pixels[[29, 3]])


@pytest.mark.parametrize(("name", "classes"), [("CIFAR10", 10), ("CIFAR100", 100)])
def test_cifar_files_are_read_without_a_warning(tmp_path, monkeypatch, name, classes):
    cls = getattr(datasets, name)
    # The MD5 of the real files guards the unpickling; these small ones have another.
    for listing in ("train_list", "test_list"):
        monkeypatch.setattr(cls, listing, [[file, None] for file, _ in getattr(cls, listing)])
    monkeypatch.setattr(cls, "meta", cls.meta | {"md5": None})
    key = "labels" if name == "CIFAR10" else "fine_labels"
    data = RANDOM.integers(0, 256, (classes, 3 * 32 * 32), dtype=np.uint8)
    for file, _ in [*cls.train_list, *cls.test_list]:
        write_pickle(tmp_path / cls.base_folder / file, {"data": data, key: list(range(classes))})
    names = [f"class {number}" for number in range(classes)]
    write_pickle(tmp_path / cls.base_folder / cls.meta["filename"], {cls.meta["key"]: names})
    images = find(tmp_path, name).load(0)
    assert images.class_names == tuple(names)
    assert images.train_count == classes * len(cls.train_list)
    assert images.labels[:classes].tolist() == list(range(classes))
    assert np.array_equal(images.read(np.array([1]))[0].numpy(), data[1].reshape(3, 32, 32))


def test_svhn_files_are_read_and_ten_is_zero(tmp_path, monkeypatch):
    listing = {part: [url, file, None] for part, (url, file, _) in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", listing)
    pixels = RANDOM.integers(0, 256, (32, 32, 3, 10), dtype=np.uint8)
    for file in FILES["SVHN"]:
        scipy.io.savemat(tmp_path / file, {"X": pixels, "y": np.arange(1, 11, dtype=np.uint8)[:, None]})
    images = find(tmp_path, "SVHN").load(0)
    assert images.class_names == tuple("0123456789")
    assert images.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2
    assert np.array_equal(images.read(np.array([4]))[0].numpy(), pixels[..., 4].transpose(2, 0, 1))


@pytest.mark.parametrize("name", TORCHVISION_CLASSES)
def test_missing_files_without_download_say_how_to_get_them(tmp_path, name):
    with pytest.raises(ImageError, match=f"{name} is not under .*: set data.download to true, or put"):
        find(tmp_path, name)


def test_missing_files_with_download_are_left_to_torchvision(tmp_path, monkeypatch):
    source = find(tmp_path, "FashionMNIST", download=True)
    before = source.content
    monkeypatch.setattr(
        datasets.FashionMNIST, "download", lambda self: write_idx_set(tmp_path, "FashionMNIST")
    )
    assert len(source.load(0).labels) == 30
    assert find(tmp_path, "FashionMNIST", download=True).content != before


def test_a_failed_download_is_one_sentence(tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("Error downloading:\nno route to host")

    monkeypatch.setattr(datasets.FashionMNIST, "download", fail)
    with pytest.raises(ImageError, match=r"cannot read FashionMNIST under .*: no route to host"):
        find(tmp_path, "FashionMNIST", download=True).load(0)


def test_damaged_files_are_refused(tmp_path):
    write_idx_set(tmp_path, "MNIST")
    path = tmp_path / FILES["MNIST"][0]
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ImageError, match="torchvision cannot read MNIST"):
        find(tmp_path, "MNIST").load(0)
    write_idx_set(tmp_path, "MNIST")
    write_idx(tmp_path / FILES["MNIST"][1], np.full(20, 200, dtype=np.uint8))
    with pytest.raises(ImageError, match="do not match"):
        find(tmp_path, "MNIST").load(0)
    write_idx_set(tmp_path, "MNIST")
    write_idx(tmp_path / FILES["MNIST"][0], np.zeros((20, 27, 28), dtype=np.uint8))
    with pytest.raises(ImageError, match="differ in size"):
        find(tmp_path, "MNIST").load(0)


def test_size_and_channels_are_converted(tmp_path):
    write_idx_set(tmp_path, "MNIST")
    pixels = find(tmp_path, "MNIST", image_size=32, channels=3).load(0).read(np.arange(2))
    assert pixels.shape == (2, 3, 32, 32)
    assert pixels.dtype == torch.uint8
