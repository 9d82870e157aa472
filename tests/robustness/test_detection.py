import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_ood.detector import EnergyBased, MaxLogit, MaxSoftmax
from pytorch_ood.metrics import functional as pytorch_ood
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torchmetrics.functional.classification import binary_auroc

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import DetectionOptions
from lottery_pipeline.robustness.detection import (
    METRICS,
    SCORES,
    measure_detection,
    measure_separation,
    resample_separation,
    score_energy,
    score_msp,
)
from lottery_pipeline.training.evaluation import EvaluationError
from tests.reference.detection_naive import auroc_naive, average_precision_naive, fpr95_naive


def separate(known, strange) -> dict[str, float]:
    return measure_separation(np.array(known, dtype=float), np.array(strange, dtype=float))


def draw_scores(seed: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    known, strange = generator.normal(size=137), generator.normal(size=90) + 1
    return (known.round(1), strange.round(1)) if ties else (known, strange)


def test_perfect_reversed_and_tied_scores():
    assert separate([1, 2, 3], [4, 5]) == dict(zip(METRICS, (1, 1, 0, 1, 0), strict=True))
    assert separate([4, 5, 6], [1, 2])["auroc"] == 0
    assert separate([7, 7, 7], [7, 7]) == pytest.approx(
        dict(zip(METRICS, (0.5, 0.4, 1, 0.6, 1), strict=True))
    )


def test_three_and_three_by_hand():
    # In order of strangeness: s s k s k k. The strangers beat 3, 3 and 2 known images of 3.
    found = separate([0.1, 0.2, 0.4], [0.3, 0.5, 0.6])
    assert found["auroc"] == pytest.approx(8 / 9)
    assert found["aupr_ood_positive"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found["fpr95_ood_positive"] == pytest.approx(1 / 3)
    assert found["aupr_id_positive"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found["fpr95_id_positive"] == pytest.approx(1 / 3)


def test_the_two_conventions_differ_where_one_known_image_looks_stranger_than_all():
    # k s s s k k: to find all strangers costs one known image, to find all known images costs all strangers.
    found = separate([0.1, 0.2, 0.9], [0.3, 0.4, 0.5])
    assert found["auroc"] == pytest.approx(6 / 9)
    assert (found["fpr95_ood_positive"], found["fpr95_id_positive"]) == (pytest.approx(1 / 3), 1)


@pytest.mark.parametrize("ties", [False, True])
def test_swapping_classes_and_sign_swaps_the_conventions_alone(ties):
    known, strange = draw_scores(3, ties=ties)
    there, back = separate(known, strange), separate(-strange, -known)
    assert back["auroc"] == pytest.approx(there["auroc"])
    assert there["fpr95_ood_positive"] != pytest.approx(there["fpr95_id_positive"])
    for metric in ("aupr", "fpr95"):
        assert back[f"{metric}_ood_positive"] == pytest.approx(there[f"{metric}_id_positive"])
        assert back[f"{metric}_id_positive"] == pytest.approx(there[f"{metric}_ood_positive"])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_torchmetrics_and_pytorch_ood_agree(seed, ties):
    known, strange = draw_scores(seed, ties=ties)
    found = measure_separation(known, strange)
    scores = torch.tensor(np.concatenate([known, strange]))
    is_strange = torch.tensor([0] * len(known) + [1] * len(strange))
    assert found["auroc"] == pytest.approx(roc_auc_score(is_strange, scores))
    assert found["auroc"] == pytest.approx(float(pytorch_ood.auroc(scores, -is_strange)))
    assert found["auroc"] == pytest.approx(float(binary_auroc(scores / 20 + 0.5, is_strange)), abs=1e-6)
    assert found["fpr95_ood_positive"] == pytest.approx(float(pytorch_ood.fpr_at_tpr(scores, -is_strange)))
    # Known images as positives: pytorch-ood has that by swapping what is called strange.
    swapped = pytorch_ood.fpr_at_tpr(-scores, is_strange - 1)
    assert found["fpr95_id_positive"] == pytest.approx(float(swapped))
    assert found["aupr_ood_positive"] == pytest.approx(average_precision_score(is_strange, scores))
    # pytorch-ood joins the points of the curve by straight lines: close, but not the same.
    assert found["aupr_ood_positive"] == pytest.approx(float(pytorch_ood.aupr(scores, -is_strange)), abs=0.02)


GRADES = st.lists(st.integers(0, 6), min_size=1, max_size=25)


@given(GRADES, GRADES)
@settings(max_examples=50)
def test_separation_is_what_counting_finds(known, strange):
    found = separate(known, strange)
    turned = [-k for k in known], [-s for s in strange]
    assert found["auroc"] == pytest.approx(auroc_naive(known, strange))
    assert found["aupr_ood_positive"] == pytest.approx(average_precision_naive(strange, known))
    assert found["aupr_id_positive"] == pytest.approx(average_precision_naive(*turned))
    assert found["fpr95_ood_positive"] == pytest.approx(fpr95_naive(strange, known))
    assert found["fpr95_id_positive"] == pytest.approx(fpr95_naive(*turned))


@pytest.mark.parametrize("ties", [False, True])
def test_resampling_measures_what_measuring_the_drawn_images_does(ties, monkeypatch):
    known, strange = draw_scores(1, ties=ties)
    drawn = []

    class Recorder:
        """Draws images as numpy does, and remembers them."""

        def __init__(self, seed):
            self.generator = np.random.Generator(np.random.PCG64(seed))

        def integers(self, n, size):
            drawn.append(self.generator.integers(n, size=size))
            return drawn[-1]

    monkeypatch.setattr(np.random, "default_rng", Recorder)
    resampled = resample_separation(known, strange, resamples=20, seed=0)
    strange_drawn, known_drawn = drawn
    for index in range(20):
        alone = measure_separation(known[known_drawn[index]], strange[strange_drawn[index]])
        assert {metric: values[index] for metric, values in resampled.items()} == pytest.approx(alone)


def test_95_of_100_intervals_hold_the_true_auroc():
    true, held = 0.7602499, 0  # Phi(1 / sqrt 2)
    for seed in range(200):
        generator = np.random.default_rng(seed)
        known, strange = generator.normal(size=200), generator.normal(size=200) + 1
        values = resample_separation(known, strange, resamples=200, seed=seed)["auroc"]
        low, high = np.percentile(values, [2.5, 97.5])
        held += low <= true <= high
    assert 0.92 <= held / 200 <= 0.98


def test_scores_are_those_of_pytorch_ood():
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(0)) * 3
    for score, other in (("msp", MaxSoftmax), ("max_logit", MaxLogit), ("energy", EnergyBased)):
        assert torch.allclose(SCORES[score](logits), other.score(logits).double(), atol=1e-5), score
    assert torch.allclose(score_energy(logits, 2.5), EnergyBased.score(logits, 2.5).double(), atol=1e-5)


def test_a_shift_of_all_logits_moves_the_energy_and_not_the_softmax():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(score_energy(logits + 7), score_energy(logits) - 7)
    assert torch.allclose(score_energy(logits + 7, 3.0), score_energy(logits, 3.0) - 7)
    assert torch.allclose(score_msp(logits + 7), score_msp(logits))


def test_logits_of_ten_thousand_do_not_overflow():
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    assert score_energy(logits).tolist() == pytest.approx([-1e4, 1e4 - np.log(3)])
    assert score_msp(logits).tolist() == pytest.approx([-1, -1 / 3])
    assert all(score(logits).isfinite().all() for score in SCORES.values())


class FirstPixels(nn.Module):
    """Reads its logits off the first row of an image, in grey levels."""

    def forward(self, images):
        return (255 * images[:, 0, 0]).round()


def write_logits(*rows: tuple[int, ...]) -> ImageSet:
    images = torch.zeros(len(rows), 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0] = torch.tensor(rows, dtype=torch.uint8)
    return ImageSet(images, torch.zeros(len(rows), dtype=torch.int64))


def detect(inside: ImageSet, strangers: dict[str, ImageSet], **fields):
    return measure_detection(
        FirstPixels(),
        inside,
        strangers,
        DetectionOptions(**fields),
        device="cpu",
        resamples=100,
        confidence=0.95,
        seed=0,
    )["rows"]


def test_sure_outputs_are_known_and_flat_ones_are_strange():
    sure, flat = (
        write_logits((9, 0, 0, 0), (8, 0, 0, 0)),
        write_logits((3, 3, 3, 3), (2, 2, 2, 2), (1, 1, 1, 1)),
    )
    rows = {(row["setting"], row["metric"]): row for row in detect(sure, {"flat": flat, "sure": sure})}
    assert len(rows) == 2 * (1 + 3 * len(METRICS))
    assert {row["family"] for row in rows.values()} == {"out_of_distribution"}
    for score in ("msp", "max_logit", "energy"):
        row = rows[f"flat {score}", "auroc"]
        assert (row["value"], row["low"], row["high"], row["n"]) == (1, 1, 1, 5)
        assert rows[f"sure {score}", "auroc"]["value"] == 0.5
    assert rows["flat", "ood_share"]["value"] == 0.6


def test_the_interval_holds_the_value_and_repeats_with_the_seed():
    generator = torch.Generator().manual_seed(0)
    known, strange = (
        write_logits(*torch.randint(0, top, (60, 4), generator=generator).tolist()) for top in (12, 8)
    )
    rows = detect(known, {"other": strange}, scores=("energy",), temperature=2.0)
    assert rows == detect(known, {"other": strange}, scores=("energy",), temperature=2.0)
    for row in rows[1:]:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["low"] < row["high"]
    assert rows != detect(known, {"other": strange}, scores=("energy",))


def test_as_many_known_images_are_used_as_asked_for():
    known = write_logits(*[(index, 0, 0, 0) for index in range(50)])
    row = detect(known, {"other": write_logits((1, 1, 1, 1))}, images=10)[0]
    assert (row["n"], row["value"]) == (11, pytest.approx(1 / 11))


def test_no_images_are_refused():
    with pytest.raises(EvaluationError, match="no images"):
        detect(ImageSet(torch.zeros(0, 1, 4, 4, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)), {})
