import pickle

import numpy as np
import pytest
import torch

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.robustness.corruptions.names import TEST_CORRUPTIONS
from lottery_pipeline.robustness.corruptions.published import find_published, read_published
from tests.robustness.corruptions.published_files import COUNT, write_published

CIFAR = {"image_shape": (3, 32, 32), "num_classes": 10}
IMAGES = (5 * COUNT, 32, 32, 3)


@pytest.mark.parametrize(("classes", "source"), [(10, "CIFAR-10-C"), (100, "CIFAR-100-C")])
def test_every_cell_is_read_from_its_severity_with_the_labels_of_the_test_set(tmp_path, classes, source):
    folder = write_published(tmp_path / "c", classes=classes)
    found = find_published(folder, image_shape=(3, 32, 32), num_classes=classes)
    assert found.source == source
    assert tuple(found.files) == TEST_CORRUPTIONS
    for place, name in enumerate(TEST_CORRUPTIONS):
        for severity in range(1, 6):
            images = read_published(found, name, severity, [3, 0])
            assert images.images.shape == (2, 3, 32, 32)
            assert images.images[:, 0, 0, 0].tolist() == [3, 0]  # the image
            assert images.images[:, 1:].unique().tolist() == [10 * place + severity]
            assert images.labels.tolist() == [classes - 1, 0]
    assert images.images.is_contiguous()
    assert images.labels.dtype == torch.int64


def test_a_subset_of_the_corruptions_needs_their_files_only(tmp_path):
    folder = write_published(tmp_path / "c", names=["fog", "snow"])
    assert list(find_published(folder, names=["snow"], **CIFAR).files) == ["snow"]
    with pytest.raises(ImageError, match=r"gaussian_noise\.npy does not exist"):
        find_published(folder, **CIFAR)


def save_pickle(path):
    path.write_bytes(pickle.dumps([1, 2, 3]))


def save_objects(path):
    np.save(path, np.array([{"a": 1}] * 5, dtype=object), allow_pickle=True)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"0")


def claim(shape):
    def write(path):
        with path.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)

    return write


def link_to_folder(path):
    path.unlink()
    path.symlink_to(path.parent)


def remove(path):
    path.unlink()


def save(array):
    return lambda path: np.save(path, array)


FAULTS = {
    "missing": ("fog", remove, "fog.npy does not exist"),
    "a link to a folder": ("fog", link_to_folder, "fog.npy is not a file"),
    "too short": ("fog", cut, "takes 61568 with its header"),
    "too long": ("fog", lengthen, "fog.npy has 61569 bytes"),
    "empty": ("fog", lambda path: path.write_bytes(b""), "fog.npy is not a readable npy array"),
    "a pickle": ("fog", save_pickle, "fog.npy is not a readable npy array"),
    "pickled objects": ("fog", save_objects, "fog.npy holds pickled Python objects"),
    "pickled labels": ("labels", save_objects, "labels.npy holds pickled Python objects"),
    "a huge claim": ("fog", claim((50_000, 2**30, 2**30, 3)), "bytes, but an array of uint8"),
    "an endless claim": ("fog", claim((2**200, 32, 32, 3)), "fog.npy has the impossible shape"),
    "a negative side": ("fog", claim((-1, 32, 32, 3)), "fog.npy has the impossible shape"),
    "many dimensions": ("fog", claim((1,) * 30), "fog.npy has a shape that is not allowed"),
    "Fortran order": ("fog", save(np.zeros(IMAGES, np.uint8, order="F")), "up to 4 dimensions in C order"),
    "floats": ("fog", save(np.zeros(IMAGES, np.float16)), "fog.npy is float16 of shape (20, 32, 32, 3), but"),
    "channels first": ("fog", save(np.zeros((20, 3, 32, 32), np.uint8)), "uint8 of shape (N, 32, 32, 3)"),
    "too few rows": (
        "fog",
        save(np.zeros((15, 32, 32, 3), np.uint8)),
        "has 15 images, but labels.npy has 20",
    ),
    "labels missing": ("labels", remove, "labels.npy does not exist"),
    "labels of text": ("labels", save(np.array(["a"] * 20)), "<U1 of shape (20,); allowed are"),
    "labels as a table": ("labels", save(np.zeros((20, 1), int)), "of shape (20, 1); allowed are"),
    "no labels": ("labels", save(np.zeros(0, int)), "labels.npy has 0 labels; allowed are 50,000, or fewer"),
    "labels for four severities": ("labels", save(np.zeros(16, int)), "has 16 labels; allowed are"),
    "too many labels": ("labels", save(np.zeros(50_005, np.uint8)), "has 50005 labels; allowed are"),
    "labels too high": ("labels", save(np.arange(20)), "labels from 0 to 19; allowed are 0 to 9"),
    "labels below 0": ("labels", save(np.full(20, -1)), "holds labels from -1 to -1; allowed are 0 to 9"),
    "labels image by image": ("labels", save(np.repeat(np.arange(4), 5)), "must repeat the labels"),
}


@pytest.mark.parametrize(("name", "spoil", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(tmp_path, name, spoil, words):
    folder = write_published(tmp_path / "c")
    spoil(folder / f"{name}.npy")
    with pytest.raises(ImageError) as caught:
        find_published(folder, **CIFAR)
    message = str(caught.value)
    assert words in message
    assert f"{name}.npy" in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(folder))


@pytest.mark.parametrize(
    ("image_shape", "num_classes", "words"),
    [
        ((3, 32, 32), 3, "are of 10 or 100 classes, but the network has 3"),
        ((3, 32, 32), 100, "holds labels of 10 classes, but the network has 100 classes"),
        ((1, 32, 32), 10, "but the network's images are uint8 of shape (N, 32, 32, 1)"),
        ((3, 8, 8), 10, "but the network's images are uint8 of shape (N, 8, 8, 3)"),
    ],
)
def test_files_that_do_not_fit_the_network_are_refused(tmp_path, image_shape, num_classes, words):
    folder = write_published(tmp_path / "c")
    with pytest.raises(ImageError) as caught:
        find_published(folder, image_shape=image_shape, num_classes=num_classes)
    assert words in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ImageError, match="nowhere of corrupted images does not exist"):
        find_published(tmp_path / "nowhere", **CIFAR)


def test_an_image_beyond_the_set_is_refused(tmp_path):
    found = find_published(write_published(tmp_path / "c"), **CIFAR)
    with pytest.raises(
        ImageError, match="has 4 images for each severity, but the image at position 4 is wanted"
    ):
        read_published(found, "fog", 1, [0, 4])


def test_a_file_that_was_replaced_after_the_check_is_refused(tmp_path):
    folder = write_published(tmp_path / "c")
    found = find_published(folder, **CIFAR)
    np.save(folder / "fog.npy", np.zeros((5, 32, 32, 3), np.uint8))
    with pytest.raises(ImageError, match="has changed since it was checked"):
        read_published(found, "fog", 1, [0])


def test_format_2_is_read_too(tmp_path):
    folder = write_published(tmp_path / "c")
    with (folder / "fog.npy").open("wb") as file:
        np.lib.format.write_array(file, np.full(IMAGES, 9, np.uint8), version=(2, 0))
    found = find_published(folder, **CIFAR)
    assert read_published(found, "fog", 5, [1]).images.unique().tolist() == [9]
