import math

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.functional.classification import multiclass_calibration_error

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import CalibrationOptions
from lottery_pipeline.robustness.calibration import (
    compute_brier,
    compute_ece,
    compute_nll,
    describe_bins,
    find_confidence,
    measure_calibration,
    sort_into_bins,
)
from lottery_pipeline.training.evaluation import EvaluationError
from tests.reference.detection_naive import ece_naive


def draw_logits(n: int = 500, *, scale: float = 2.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, 10, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 1.0])
def test_being_always_sure_costs_what_is_wrong(accuracy):
    logits = torch.zeros(10, 3)
    logits[:, 0] = 1e4
    labels = torch.tensor([0] * round(10 * accuracy) + [1] * (10 - round(10 * accuracy)))
    assert compute_ece(*find_confidence(logits, labels), 15) == pytest.approx(1 - accuracy)


def test_bins_that_are_right_as_often_as_they_say_cost_nothing():
    confidence = np.array([0.5] * 4 + [0.75] * 4 + [0.9] * 10)
    right = np.array([True, False] * 2 + [True] * 3 + [False] + [True] * 9 + [False])
    assert compute_ece(confidence, right, 15) == pytest.approx(0, abs=1e-12)


def test_one_bin_is_the_distance_of_accuracy_and_mean_confidence():
    confidence, right = find_confidence(*draw_logits())
    assert compute_ece(confidence, right, 1) == pytest.approx(abs(right.mean() - confidence.mean()))


@pytest.mark.parametrize("bins", [5, 15, 40])
@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_torchmetrics_and_a_plain_loop_agree(scale, bins):
    logits, labels = draw_logits(scale=scale)
    logits = 0.7 * logits
    confidence, right = find_confidence(logits, labels)
    found = compute_ece(confidence, right, bins)
    other = multiclass_calibration_error(logits.double().softmax(1), labels, 10, n_bins=bins, norm="l1")
    assert found == pytest.approx(float(other), abs=1e-6)
    assert found == pytest.approx(ece_naive(confidence, right, bins))


def test_a_confidence_on_an_edge_goes_up_and_1_stays_in_the_last_bin():
    confidence = np.array([0.0, 0.2499, 0.25, 0.5, 0.75, 0.9, 1.0])
    assert sort_into_bins(confidence, 4).tolist() == [0, 0, 1, 2, 3, 3, 3]


def test_loss_and_brier_by_hand():
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0], [1e4, 0.0]])
    labels = torch.tensor([0, 1, 1])
    assert compute_nll(logits, labels) == pytest.approx([math.log(4 / 3), math.log(2), 1e4])
    assert compute_brier(logits, labels) == pytest.approx([2 / 16, 0.5, 2.0])


def test_an_empty_bin_has_neither_accuracy_nor_confidence():
    found = describe_bins(np.array([0.6, 0.7, 1.0]), np.array([True, False, True]), 2)
    assert found == [
        {"from": 0.0, "to": 0.5, "count": 0, "accuracy": None, "confidence": None},
        {
            "from": 0.5,
            "to": 1.0,
            "count": 3,
            "accuracy": pytest.approx(2 / 3),
            "confidence": pytest.approx(2.3 / 3),
        },
    ]


class GreyLevels(nn.Module):
    """Reads its logits off the first row of an image, some grey levels to a unit."""

    def __init__(self, levels: float = 10.0):
        super().__init__()
        self.levels = levels

    def forward(self, images):
        return 255 * images[:, 0, 0] / self.levels


def draw_set(n: int, *, seed: int) -> ImageSet:
    """Images whose labels are as likely as the softmax of a tenth of their first row says."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 40, (n, 1, 4, 4), generator=generator, dtype=torch.uint8)
    likely = (images[:, 0, 0] / 10).softmax(1)
    return ImageSet(images, torch.multinomial(likely, 1, generator=generator)[:, 0])


def calibrate(model: nn.Module, validation: ImageSet, test: ImageSet, **fields):
    return measure_calibration(
        model,
        validation,
        test,
        CalibrationOptions(**fields),
        device="cpu",
        resamples=200,
        confidence=0.95,
        seed=0,
    )


NONE = draw_set(1, seed=0)
EMPTY = ImageSet(NONE.images[:0], NONE.labels[:0])


def test_scaling_mends_a_network_that_is_five_times_too_sure():
    found = calibrate(GreyLevels(2.0), draw_set(2000, seed=1), draw_set(2000, seed=2))
    rows = {(row["setting"], row["metric"]): row for row in found["rows"]}
    assert found["temperature"] == pytest.approx(5, rel=0.1)
    assert rows["temperature scaled", "temperature"]["value"] == found["temperature"]
    assert rows["as trained", "ece"]["value"] > 0.2
    assert rows["temperature scaled", "ece"]["value"] < 0.05
    for metric in ("nll", "brier"):
        assert rows["temperature scaled", metric]["value"] < rows["as trained", metric]["value"]
    assert rows["temperature scaled", "accuracy"] == rows["as trained", "accuracy"] | {
        "setting": "temperature scaled"
    }
    assert {row["family"] for row in rows.values()} == {"calibration"}
    for row in rows.values():
        if row["metric"] != "temperature":
            assert row["low"] < row["value"] < row["high"] or row["metric"] == "ece"
            assert row["low"] <= row["value"] <= row["high"]


def test_the_bins_of_each_setting_hold_all_images_and_give_the_ece():
    test = draw_set(300, seed=2)
    found = calibrate(GreyLevels(3.0), draw_set(300, seed=1), test)
    for setting in ("as trained", "temperature scaled"):
        bins = [entry for entry in found["bins"] if entry["setting"] == setting]
        assert len(bins) == 15
        assert sum(entry["count"] for entry in bins) == 300
        gaps = [abs(b["accuracy"] - b["confidence"]) * b["count"] / 300 for b in bins if b["count"]]
        value = next(r["value"] for r in found["rows"] if (r["setting"], r["metric"]) == (setting, "ece"))
        assert sum(gaps) == pytest.approx(value)


def test_the_interval_of_the_ece_reaches_down_to_0_for_a_calibrated_network():
    found = calibrate(GreyLevels(), EMPTY, draw_set(200, seed=5), temperature_scaling=False)
    row = next(row for row in found["rows"] if row["metric"] == "ece")
    assert row["value"] > 0.02  # by chance alone
    assert row["low"] < 0.02


def test_without_validation_images_a_row_says_that_nothing_was_scaled():
    found = calibrate(GreyLevels(), EMPTY, draw_set(50, seed=2))
    flags = [row for row in found["rows"] if row["setting"] == "temperature scaled"]
    assert [(row["metric"], row["value"], row["n"]) for row in flags] == [
        ("flag_no_validation_images", 1.0, 0)
    ]
    assert found["temperature"] is None
    assert {entry["setting"] for entry in found["bins"]} == {"as trained"}


def test_validation_images_that_are_all_right_have_no_best_temperature():
    validation = draw_set(50, seed=1)
    validation = ImageSet(validation.images, validation.images[:, 0, 0].int().argmax(1))
    found = calibrate(GreyLevels(), validation, draw_set(50, seed=2))
    assert found["temperature"] is None
    assert [row["metric"] for row in found["rows"] if row["setting"] != "as trained"] == [
        "flag_no_temperature"
    ]


def test_scaling_that_is_not_asked_for_is_left_out_without_a_flag():
    found = calibrate(GreyLevels(), draw_set(50, seed=1), draw_set(50, seed=2), temperature_scaling=False)
    assert {row["setting"] for row in found["rows"]} == {"as trained"}


def test_huge_logits_give_finite_numbers():
    found = calibrate(GreyLevels(1e-3), draw_set(100, seed=1), draw_set(100, seed=2))
    assert all(math.isfinite(row[key]) for row in found["rows"] for key in ("value",))
    assert found["temperature"] == pytest.approx(1e4, rel=0.3)


def test_the_same_seed_gives_the_same_rows():
    first, again = (calibrate(GreyLevels(3.0), draw_set(60, seed=1), draw_set(60, seed=2)) for _ in range(2))
    assert first == again


def test_no_test_images_are_refused():
    with pytest.raises(EvaluationError, match="no images"):
        calibrate(GreyLevels(), draw_set(5, seed=1), EMPTY)
