import json

import pytest
import torch
from torch import nn

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import CorruptionOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.robustness.corruptions import CORRUPTIONS, corrupt
from lottery_pipeline.robustness.corruptions.measurement import measure_corruptions
from lottery_pipeline.robustness.corruptions.preparation import check_files, prepare_corrupted
from lottery_pipeline.statistics.proportions import wilson_interval
from tests.robustness.corruptions.published_files import write_new_test_set, write_published

STATISTICS = {"seed": 0, "resamples": 200, "confidence": 0.95}
TWO = CorruptionOptions(names=("brightness", "gaussian_noise"), severities=(1, 5))


class Threshold(nn.Module):
    """Says class 1 where the mean of the pixels is above a level; counts its images and is never trained."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))
        self.seen = 0
        self.was_training = False

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen += len(pixels)
        self.was_training |= self.training
        assert pixels.dtype == torch.float32
        bright = pixels.mean((1, 2, 3)) - self.level
        return nn.functional.pad(torch.stack([torch.zeros_like(bright), bright], dim=1), (0, 8), value=-99.0)


def make_images() -> ImageSet:
    """Six grey images with values 0.2 and 0.4 below, 0.55 and 0.9 above one half; the label is the side."""
    values = torch.tensor([51, 102, 140, 230, 102, 230], dtype=torch.uint8)
    return ImageSet(values[:, None, None, None].repeat(1, 1, 8, 8), torch.tensor([0, 0, 1, 1, 0, 1]))


def prepare(options=TWO, indices=(0, 1, 2, 3), seed=0):
    return prepare_corrupted(make_images(), torch.tensor(indices), options, num_classes=2, seed=seed)


def test_corrupted_images_are_kept_for_the_next_network_only_where_memory_is_free_for_them(monkeypatch):
    size = 4 * 64 * 2 * 2  # images, pixels, corruptions, severities
    for free, kept in ((4 * size, True), (4 * size - 4, False)):
        monkeypatch.setattr(
            "lottery_pipeline.robustness.corruptions.preparation.free_bytes", lambda free=free: free
        )
        read = prepare().read
        assert (read("brightness", 1) is read("brightness", 1)) == kept


def test_cells_rows_and_right_answers_are_those_counted_by_hand():
    model = Threshold(0.5)
    found = measure_corruptions(model, prepare(), **STATISTICS)
    # 0.4 becomes 0.45 and 0.7, and is wrong at severity 5; the rest is right.
    assert found["source"] == "C-like"
    assert found["clean_error"] == 0
    assert found["cells"] == [
        {"corruption": "brightness", "severity": 1, "error": 0.0, "n": 4},
        {"corruption": "brightness", "severity": 5, "error": 0.25, "n": 4},
        {"corruption": "gaussian_noise", "severity": 1, "error": 0.0, "n": 4},
        {"corruption": "gaussian_noise", "severity": 5, "error": 0.0, "n": 4},
    ]
    assert found["right"] == [4, 3, 4, 4]
    rows = {row["setting"]: row for row in found["rows"]}
    assert {name: row["value"] for name, row in rows.items()} == {
        "clean": 1.0,
        "brightness 1": 1.0,
        "brightness 5": 0.75,
        "gaussian_noise 1": 1.0,
        "gaussian_noise 5": 1.0,
        "brightness": 0.875,
        "gaussian_noise": 1.0,
        "mean": 0.9375,
    }
    assert {(row["family"], row["metric"], row["n"]) for row in found["rows"]} == {
        ("corruption", "accuracy", 4)
    }
    wilson = wilson_interval(3, 4, 0.95)
    assert (rows["brightness 5"]["low"], rows["brightness 5"]["high"]) == (wilson.low, wilson.high)
    assert 0.5 <= rows["brightness"]["low"] < 0.875 < rows["brightness"]["high"] <= 1
    assert rows["mean"]["low"] < rows["mean"]["value"] < rows["mean"]["high"]


def test_the_model_is_evaluated_and_its_modes_come_back():
    model = Threshold(0.5).train()
    measure_corruptions(model, prepare(), **STATISTICS)
    assert model.training
    assert not model.was_training
    assert model.seen == 5 * 4


def test_the_record_is_json_and_the_same_twice():
    first, second = (measure_corruptions(Threshold(0.5), prepare(), **STATISTICS) for _ in range(2))
    assert json.loads(json.dumps(first, allow_nan=False)) == first == second


def test_images_are_corrupted_once_for_all_networks_and_by_their_place_in_the_test_set():
    corrupted = prepare(indices=(5, 2), seed=3)
    found = corrupted.read("gaussian_noise", 5)
    assert found is corrupted.read("gaussian_noise", 5)
    images = make_images()
    expected = corrupt(images.images, "gaussian_noise", 5, seed=3, indices=range(6))[[5, 2]]
    assert torch.equal(found.images, expected)
    assert torch.equal(corrupted.clean.images, images.images[[5, 2]])
    assert found.labels.tolist() == [1, 1]


def test_all_cells_of_all_generators_are_measured_by_default():
    corrupted = prepare(CorruptionOptions(), indices=(0, 3))
    found = measure_corruptions(Threshold(0.5), corrupted, **STATISTICS)
    assert len(found["cells"]) == 5 * len(CORRUPTIONS) == 65
    assert len(found["rows"]) == 1 + 65 + 13 + 1


def test_a_killed_measurement_repeats_no_finished_cell_and_gives_the_same(tmp_path):
    class Killed(Exception):  # noqa: N818 (it stands for a signal)
        pass

    class Mortal(Threshold):
        def forward(self, pixels):
            if self.seen >= 8:
                raise Killed
            return super().forward(pixels)

    whole = measure_corruptions(Threshold(0.5), prepare(), **STATISTICS)
    same = {"checkpoints": Checkpoints(tmp_path, interval_seconds=0), "identity": {"network": "a"}}
    with pytest.raises(Killed):
        measure_corruptions(Mortal(0.5), prepare(), **same, **STATISTICS)
    model = Threshold(0.5)
    assert measure_corruptions(model, prepare(), **same, **STATISTICS) == whole
    assert model.seen == 3 * 4  # clean images and one cell were finished
    other = Threshold(0.5)
    measure_corruptions(other, prepare(), **{**same, "identity": {"network": "b"}}, **STATISTICS)
    assert other.seen == 5 * 4
    reseeded = Threshold(0.5)
    measure_corruptions(reseeded, prepare(seed=1), **same, **STATISTICS)
    assert reseeded.seen == 5 * 4


def test_published_files_and_new_test_sets_take_the_place_of_the_generators(tmp_path):
    folder = write_published(tmp_path / "c")
    new = write_new_test_set(tmp_path / "new")
    options = CorruptionOptions(published=str(folder), new_test_sets=(str(new),))
    check_files(options)
    images = ImageSet(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 3, 6, 9]))
    corrupted = prepare_corrupted(images, torch.tensor([0, 2]), options, num_classes=10, seed=0)
    found = measure_corruptions(Threshold(2.0), corrupted, **STATISTICS)  # always class 0
    assert found["source"] == "CIFAR-10-C"
    assert len(found["cells"]) == 75
    assert {cell["error"] for cell in found["cells"]} == {0.5}
    assert found["right"] == [75, 0]
    rows = {row["setting"]: row for row in found["rows"]}
    assert (rows["CIFAR-10.1 v6"]["value"], rows["CIFAR-10.1 v6"]["n"]) == (0.25, 4)
    assert rows["mean"]["value"] == 0.5  # the new set is not in it
    twice = CorruptionOptions(new_test_sets=(str(new), str(write_new_test_set(tmp_path / "again"))))
    with pytest.raises(ImageError, match=r"new_test_sets has CIFAR-10\.1 v6 in two folders"):
        prepare_corrupted(images, torch.tensor([0]), twice, num_classes=10, seed=0)
    some = CorruptionOptions(published=str(folder), names=("fog",), severities=(2,))
    assert prepare_corrupted(images, torch.tensor([0]), some, num_classes=10, seed=0).cells == (("fog", 2),)


def test_missing_files_are_found_before_anything_is_trained(tmp_path):
    folder = write_published(tmp_path / "c", names=["fog"])
    check_files(CorruptionOptions(published=str(folder), names=("fog",)))
    with pytest.raises(ImageError, match=r"gaussian_noise\.npy does not exist"):
        check_files(CorruptionOptions(published=str(folder)))
    with pytest.raises(ImageError, match="holds no new test set"):
        check_files(CorruptionOptions(new_test_sets=(str(tmp_path),)))


def test_images_without_classes_and_no_images_are_refused():
    points = ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2, 8, 8, dtype=torch.int64))
    with pytest.raises(ImageError, match="measured for classification, but the labels are of segmentation"):
        prepare_corrupted(points, torch.tensor([0]), TWO, num_classes=2, seed=0)
    with pytest.raises(ImageError, match="there are no images to corrupt"):
        prepare(indices=())
