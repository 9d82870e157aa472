import os

import pytest
import safetensors
import torch

from lottery_pipeline.images import samples
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.samples import pick_samples, read_samples
from lottery_pipeline.images.splits import assemble_splits
from lottery_pipeline.images.splits_file import save_splits
from tests.images.builders import make_set
from tests.training.tiny import tiny_dense_images


def test_samples_are_spread_over_the_images_of_their_class():
    labels = torch.tensor([0, 1, 0, 1, 0, 0, 0])
    assert pick_samples(labels, 0, 3).tolist() == [0, 4, 6]
    assert pick_samples(labels, 1, 3).tolist() == [1, 3]
    assert pick_samples(labels, 2, 3).tolist() == []


@pytest.fixture
def stored(tmp_path):
    splits = assemble_splits(
        make_set([0, 1, 0, 2, 0]), make_set([1]), make_set([0, 1]), ["cat", "dog", "emu", "none"]
    )
    save_splits(splits, tmp_path / "a")
    return splits, tmp_path / "a"


def test_the_samples_of_a_file_are_its_images_with_their_labels(stored):
    splits, path = stored
    found = read_samples(path, per_class=2, max_classes=2)
    assert found.train.labels.tolist() == [0, 0, 1]
    assert torch.equal(found.train.images, splits.train.images[[0, 4, 1]])
    assert (len(found.validation), len(found.test)) == (0, 0)
    assert (found.class_names, found.fingerprint) == (splits.class_names, splits.fingerprint)


def test_only_the_samples_are_read(stored, monkeypatch):
    def refuse(*_):
        raise AssertionError("all images are read")

    class Watched:
        def __init__(self, *given, **named):
            self.file = safetensors.safe_open(*given, **named)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def __getattr__(self, name):
            return getattr(self.file, name)

        def get_tensor(self, name):
            return refuse() if name.endswith("images") else self.file.get_tensor(name)

    monkeypatch.setattr(samples, "safe_open", Watched)
    assert len(read_samples(stored[1], per_class=1, max_classes=4).train) == 3


def test_images_with_a_pixel_of_the_class_or_with_the_point_in_sight_belong_to_a_row():
    masks = torch.tensor([[[0, 0]], [[0, 1]], [[255, 1]]])
    assert pick_samples(masks, 0, 5, "segmentation").tolist() == [0, 1]
    assert pick_samples(masks, 1, 5, "segmentation").tolist() == [1, 2]
    points = torch.tensor([[[1, 1, 1], [1, 1, 0]], [[1, 1, 0], [1, 1, 1]]])
    assert pick_samples(points, 0, 5, "keypoints").tolist() == [0]
    assert pick_samples(points, 1, 5, "keypoints").tolist() == [1]


@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
def test_an_image_of_several_rows_is_read_once(task, tmp_path):
    splits = tiny_dense_images(task)
    save_splits(splits, tmp_path / "a")
    found = read_samples(tmp_path / "a", per_class=3, max_classes=2)
    assert found.task == task
    assert torch.equal(found.train.images, splits.train.images[[0, 8, 17]])
    assert torch.equal(found.train.labels, splits.train.labels[[0, 8, 17]])


def test_another_file_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"no images")
    with pytest.raises(ImageError, match="not a valid file of prepared images"):
        read_samples(tmp_path / "a", per_class=1, max_classes=1)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match=r"is not a valid file of prepared images: .*not a regular file"):
        read_samples(tmp_path / "pipe", per_class=1, max_classes=1)
