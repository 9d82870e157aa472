import pytest
import safetensors
import torch

from lottery_pipeline.images import samples
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.samples import pick_samples, read_samples
from lottery_pipeline.images.splits import assemble_splits, save_splits
from tests.images.builders import make_set


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


def test_another_file_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"no images")
    with pytest.raises(ImageError, match="not a valid file of prepared images"):
        read_samples(tmp_path / "a", per_class=1, max_classes=1)
