import io
import zipfile

import numpy as np
import pytest
import torch

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.robustness.corruptions.new_test_sets import find_new_test_sets, read_new_test_sets
from tests.robustness.corruptions.published_files import COUNT, write_new_test_set

CIFAR = {"image_shape": (3, 32, 32), "num_classes": 10}
PIXELS = np.zeros((COUNT, 32, 32, 3), dtype=np.uint8)


def write_newest(folder, **arrays):
    np.savez(folder / "cifar102_test.npz", **arrays)
    return folder


def test_both_versions_of_cifar_10_1_and_cifar_10_2_are_read(tmp_path):
    folder = write_new_test_set(write_new_test_set(tmp_path), "v4", count=3)
    # Of the other arrays of the archive none is read, whatever it holds.
    others = {"keywords": np.array([{"a": 1}], dtype=object), "ti_indices": np.arange(2)}
    write_newest(folder, images=PIXELS[:2] + 7, labels=np.array([9, 0]), **others)
    found = read_new_test_sets(folder, **CIFAR)
    assert {name: len(images) for name, images in found.items()} == {
        "CIFAR-10.1 v4": 3,
        "CIFAR-10.1 v6": COUNT,
        "CIFAR-10.2": 2,
    }
    newer = found["CIFAR-10.1 v6"]
    assert newer.labels.tolist() == list(range(COUNT))
    assert newer.images.shape == (COUNT, 3, 32, 32)
    assert torch.equal(newer.images[:, 2, 31, 31].long(), newer.labels)
    assert found["CIFAR-10.2"].labels.tolist() == [9, 0]
    assert found["CIFAR-10.2"].images.unique().tolist() == [7]


def test_a_compressed_archive_is_read(tmp_path):
    np.savez_compressed(tmp_path / "cifar102_test.npz", images=PIXELS, labels=np.arange(COUNT))
    assert len(read_new_test_sets(tmp_path, **CIFAR)["CIFAR-10.2"]) == COUNT


def test_an_empty_folder_says_which_files_are_read(tmp_path):
    with pytest.raises(ImageError, match=r"holds no new test set; allowed are cifar10\.1_v4_data\.npy"):
        find_new_test_sets(tmp_path)


def test_the_first_release_of_cifar_10_2_is_a_pickle_and_refused(tmp_path):
    np.save(tmp_path / "cifar102_test.npy", {"images": PIXELS}, allow_pickle=True)
    with pytest.raises(ImageError, match=r"its cifar102_test\.npy is a pickle, which is never read"):
        read_new_test_sets(tmp_path, **CIFAR)


def test_a_network_of_other_classes_is_refused(tmp_path):
    with pytest.raises(ImageError, match="are of 10 classes, but the network has 100"):
        read_new_test_sets(write_new_test_set(tmp_path), image_shape=(3, 32, 32), num_classes=100)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("data", PIXELS.astype(np.int64), "v6_data.npy is int64 of shape (4, 32, 32, 3), but the network's"),
        ("data", PIXELS[:, :8], "v6_data.npy is uint8 of shape (4, 8, 32, 3), but the network's"),
        ("data", PIXELS[:0], "v6_data.npy has 0 images; allowed are 1 to 10000"),
        (
            "data",
            PIXELS[:2],
            "v6_labels.npy is int32 of shape (4,); allowed is one whole number for each of 2",
        ),
        ("labels", np.zeros(COUNT), "v6_labels.npy is float64 of shape (4,); allowed is one whole number"),
        ("labels", np.array([0, 1, 2, 10]), "v6_labels.npy holds labels from 0 to 10; allowed are 0 to 9"),
        ("labels", np.array([None] * COUNT), "v6_labels.npy holds pickled Python objects"),
    ],
)
def test_a_bad_file_of_cifar_10_1_is_refused(tmp_path, name, array, words):
    folder = write_new_test_set(tmp_path)
    np.save(folder / f"cifar10.1_v6_{name}.npy", array, allow_pickle=True)
    with pytest.raises(ImageError) as caught:
        read_new_test_sets(folder, **CIFAR)
    assert words in str(caught.value)


def test_missing_labels_are_named(tmp_path):
    folder = write_new_test_set(tmp_path)
    (folder / "cifar10.1_v6_labels.npy").unlink()
    with pytest.raises(ImageError, match=r"cifar10\.1_v6_labels\.npy does not exist"):
        read_new_test_sets(folder, **CIFAR)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": PIXELS}, "is not a readable npz file with the arrays images and labels"),
        ({"images": PIXELS, "labels": np.array([None] * COUNT)}, "labels in"),
        ({"images": PIXELS, "labels": np.full(COUNT, 11)}, "holds labels from 11 to 11; allowed are 0 to 9"),
        ({"images": PIXELS / 1, "labels": np.zeros(COUNT, int)}, "is float64 of shape (4, 32, 32, 3), but"),
        (
            {"images": np.zeros((10_001, 32, 32, 3), np.uint8), "labels": np.zeros(10_001, int)},
            "allowed are 1 to",
        ),
    ],
)
def test_a_bad_archive_of_cifar_10_2_is_refused(tmp_path, arrays, words):
    np.savez_compressed(tmp_path / "cifar102_test.npz", **arrays)
    with pytest.raises(ImageError) as caught:
        read_new_test_sets(tmp_path, **CIFAR)
    assert words in str(caught.value)
    assert "cifar102_test.npz" in str(caught.value)


def test_no_archive_at_all_is_refused(tmp_path):
    (tmp_path / "cifar102_test.npz").write_bytes(b"PK no archive")
    with pytest.raises(ImageError, match="is not a readable npz file"):
        read_new_test_sets(tmp_path, **CIFAR)


def test_an_archive_whose_header_claims_more_than_it_holds_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10_000, 32, 32, 3)}
    )
    with zipfile.ZipFile(tmp_path / "cifar102_test.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("labels.npy", header.getvalue())
    with pytest.raises(ImageError, match="does not have the size that its header says"):
        read_new_test_sets(tmp_path, **CIFAR)
