import logging
import os
from itertools import chain

import numpy as np
import pytest
import torch

from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.images.statistics import measure_channels
from tests.images.builders import read_identities, write_classes, write_image, write_npz


@pytest.fixture
def folder(tmp_path):
    write_classes(tmp_path / "images", {"a": 30, "b": 20})
    return tmp_path / "images"


def folder_request(root, **fields) -> ImageRequest:
    return ImageRequest(source="image_folder", root=str(root), **fields)


def test_no_image_is_in_two_parts_and_every_label_is_its_own(folder):
    splits = prepare_images(folder_request(folder), seed=0)
    identities = {
        part: read_identities(getattr(splits, part).images) for part in ("train", "validation", "test")
    }
    assert sorted(chain(*identities.values())) == list(range(50))
    for part, members in identities.items():
        assert getattr(splits, part).labels.tolist() == [int(number >= 30) for number in members]
    assert splits.class_names == ("a", "b")


def test_statistics_are_of_the_training_part_alone(folder):
    splits = prepare_images(folder_request(folder, validation_fraction=0.3), seed=0)
    assert (splits.mean, splits.std) == measure_channels(splits.train.images)
    everything = torch.cat([splits.train.images, splits.validation.images, splits.test.images])
    assert splits.mean != measure_channels(everything)[0]


def test_the_same_request_gives_the_same_content_and_another_seed_another(folder):
    first, again = (prepare_images(folder_request(folder), seed=0) for _ in range(2))
    other = prepare_images(folder_request(folder), seed=1)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.request == again.request != other.request


def test_stored_splits_are_returned_while_nothing_changed(folder, tmp_path):
    request = folder_request(folder)
    save_splits(prepare_images(request, seed=0), tmp_path / "stored.safetensors")
    stored = load_splits(tmp_path / "stored.safetensors")
    assert prepare_images(request, seed=0, stored=stored) is stored
    assert prepare_images(request, seed=1, stored=stored) is not stored
    write_image(folder / "a" / "new.png", 99)
    assert len(prepare_images(request, seed=0, stored=stored).train) > len(stored.train)


def test_the_request_fingerprint_changes_with_every_field(folder):
    changes = [
        {},
        {"validation_fraction": 0.2},
        {"test_fraction": 0.3},
        {"train_limit": 10},
        {"image_size": 4},
        {"channels": 1},
    ]
    assert len({prepare_images(folder_request(folder, **c), seed=0).request for c in changes}) == len(changes)


def test_the_request_fingerprint_of_classification_is_as_old_as_the_project():
    # The value was recorded before there were other tasks: stored images stay valid.
    assert prepare_images(ImageRequest(), seed=0).request.startswith("5ae1ecfffbfd5496")


def test_the_request_fingerprint_changes_with_the_task():
    requests = {
        prepare_images(ImageRequest(source="canvases", task=task, train_limit=10), seed=0).request
        for task in ("classification", "segmentation", "keypoints")
    }
    assert len(requests) == 3


def test_the_request_fingerprint_changes_with_the_files(folder, tmp_path):
    requests = [prepare_images(folder_request(folder), seed=0).request]
    os.utime(folder / "a" / "000.png", ns=(1, 1))
    requests.append(prepare_images(folder_request(folder), seed=0).request)
    (folder / "a" / "000.png").unlink()
    requests.append(prepare_images(folder_request(folder), seed=0).request)
    assert len(set(requests)) == 3


def test_a_touched_file_changes_the_request_but_not_the_content(folder):
    before = prepare_images(folder_request(folder), seed=0)
    os.utime(folder / "a" / "000.png", ns=(1, 1))
    after = prepare_images(folder_request(folder), seed=0)
    assert before.request != after.request
    assert before.fingerprint == after.fingerprint


def test_a_validation_fraction_of_zero_gives_an_empty_set(folder):
    splits = prepare_images(folder_request(folder, validation_fraction=0), seed=0)
    assert splits.validation.images.shape == (0, 3, 8, 8)
    assert len(splits.train) == 40


def test_a_class_too_small_is_reported_before_an_image_is_read(tmp_path):
    write_classes(tmp_path, {"a": 30, "b": 1})
    (tmp_path / "a" / "000.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match="class 'b' with 1 image is too small"):
        prepare_images(folder_request(tmp_path), seed=0)


def test_only_the_images_of_a_limited_request_are_read(tmp_path):
    write_classes(tmp_path / "train", {"a": 20, "b": 20})
    write_classes(tmp_path / "test", {"a": 2, "b": 2}, first=100)
    request = folder_request(tmp_path, train_limit=4)
    splits = prepare_images(request, seed=0)
    used = set(read_identities(splits.train.images)) | set(read_identities(splits.validation.images))
    unused = next(number for number in range(20) if number not in used)
    (tmp_path / "train" / "a" / f"{unused:03}.png").write_bytes(b"broken")
    assert prepare_images(request, seed=0).fingerprint == splits.fingerprint


def test_exact_duplicates_across_parts_are_counted_in_a_warning(tmp_path, caplog):
    write_classes(tmp_path / "train", {"a": 20, "b": 20})
    write_classes(tmp_path / "test", {"a": 3, "b": 3}, first=18)
    with caplog.at_level(logging.WARNING):
        prepare_images(folder_request(tmp_path), seed=0)
    assert "6 test images are exact duplicates of training images" in caplog.text
    assert "validation images are exact duplicates" not in caplog.text


def test_clean_parts_cause_no_warning(folder, caplog):
    with caplog.at_level(logging.WARNING):
        prepare_images(folder_request(folder), seed=0)
    assert caplog.text == ""


def test_digits_are_ready_without_a_file():
    splits = prepare_images(ImageRequest(), seed=0)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1294, 144, 359)
    assert (splits.channels, splits.image_size, splits.num_classes) == (1, (8, 8), 10)
    assert splits.source == "digits"
    assert splits.train.images.is_contiguous()
    assert splits.validation.images.is_contiguous()


def test_arrays_are_split_like_any_source(tmp_path):
    x = np.arange(40, dtype=np.uint8).repeat(4).reshape(40, 2, 2)
    path = write_npz(tmp_path / "a.npz", x=x, y=np.arange(40) % 2)
    splits = prepare_images(ImageRequest(source="arrays", root=str(path)), seed=0)
    parts = [splits.train, splits.validation, splits.test]
    assert sorted(chain(*(part.images[:, 0, 0, 0].tolist() for part in parts))) == list(range(40))
    for part in parts:
        assert part.labels.tolist() == (part.images[:, 0, 0, 0] % 2).tolist()
