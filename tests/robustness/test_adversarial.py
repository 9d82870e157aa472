import json
import sys

import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import AutoAttackOptions
from lottery_pipeline.statistics.proportions import wilson_interval
from lottery_pipeline.training.evaluation import EvaluationError
from tests.robustness.attacked import ALL, EPS, curve, draw_partly_wrong, measure, row_of
from tests.robustness.linear_models import BentNet, LinearNet, draw_images, find_radii


@pytest.fixture
def model() -> nn.Module:
    return BentNet()


@pytest.fixture
def images(model) -> ImageSet:
    return draw_partly_wrong(model)


def test_rows_say_how_many_images_stand(model, images):
    found = measure(model, images)

    least = [float("inf") if value is None else value for value in found["least_eps"]]
    for eps, value in zip(EPS, curve(found), strict=True):
        assert value == sum(other > eps for other in least) / 36
    clean = row_of(found, "clean_accuracy")
    interval = wilson_interval(30, 36)
    assert (clean["value"], clean["low"], clean["high"]) == (30 / 36, interval.low, interval.high)
    assert clean["setting"] == "Linf"
    settings = [row["setting"] for row in found["rows"] if row["metric"] == "robust_accuracy"]
    assert settings == ["Linf eps 0.005", "Linf eps 0.01", "Linf eps 0.02"]
    median = row_of(found, "median_eps")
    assert median["value"] == sorted(least)[17]
    assert median["low"] <= median["value"] <= median["high"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_an_image_that_is_wrong_has_0_and_one_that_no_attack_fools_has_none():
    model = LinearNet(2)
    images = draw_images(model, 6)
    images.labels[0] = 1 - images.labels[0]

    found = measure(model, images, attacks=("fgsm",), eps=(1e-6,))

    assert found["least_eps"] == [0.0, None, None, None, None, None]
    assert row_of(found, "median_eps")["value"] is None
    assert found["fooled_by"] == {"fgsm": 0}


def test_eps_0_gives_the_clean_accuracy_without_an_attack(model, images):
    attacked = []

    found = measure(model, images, eps=(0.0,), attacks=("fgsm", "pgd"), on_progress=attacked.append)

    assert curve(found) == [30 / 36]
    assert not attacked
    assert found["gradients"] == 0


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_two_linear_classes_are_judged_exactly(norm):
    model = LinearNet(2)
    images = draw_images(model, 60)
    radii = find_radii(model, images.images / 255, images.labels, norm)
    eps = sorted(float(radii.quantile(share)) * 1.0005 for share in (0.2, 0.5, 0.8))

    found = measure(model, images, norm=norm, eps=tuple(eps), attacks=("fgsm", "pgd"), steps=10)

    assert curve(found) == [float((radii > value).double().mean()) for value in eps]


def test_the_curve_falls_and_is_the_least_over_all_attacks(model, images):
    together = measure(model, images, **ALL)
    alone = [measure(model, images, **{**ALL, "attacks": (name,)}) for name in ALL["attacks"]]

    assert curve(together) == sorted(curve(together), reverse=True)
    for single in alone:
        assert all(both <= one for both, one in zip(curve(together), curve(single), strict=True))
        assert curve(single)[0] <= row_of(single, "clean_accuracy")["value"]
    assert sum(together["fooled_by"].values()) == sum(bool(value) for value in together["least_eps"])
    assert list(together["fooled_by"]) == ["fgsm", "fmn", "pgd", "apgd-ce", "apgd-t", "fab-t", "square"]


class Masked(nn.Module):
    """Sees only which pixels are above one half: no gradient gets through."""

    def __init__(self, classes: int = 4, side: int = 4) -> None:
        super().__init__()
        self.inner = LinearNet(classes, shape=(1, side, side))

    def forward(self, images: Tensor) -> Tensor:
        return self.inner((images - 0.5).sign() / 10 + 0.5)


def test_masked_gradients_are_told_and_square_succeeds_all_the_same():
    images = draw_images(Masked(), 20)

    found = measure(Masked(), images, **{**ALL, "eps": (0.1,)})
    parts = AutoAttackOptions(parts=("square",), queries=50)
    alone = measure(Masked(), images, attacks=("fgsm", "autoattack"), eps=(0.1,), autoattack=parts)

    assert found["flags"]["zero_gradient_share"] == 1.0
    assert found["flags"]["black_box_stronger"] is True
    assert found["flags"]["autoattack_zero_gradients"] is True
    assert row_of(found, "flag_black_box_stronger")["value"] == 1.0
    assert alone["fooled_by"] == {"fgsm": 0, "square": 20}


def test_a_network_that_hides_nothing_raises_no_flag(model, images):
    flags = measure(model, images, **ALL)["flags"]

    assert flags["left_out"] == ""
    assert flags["black_box_stronger"] is False
    assert not any(flags.values())


def test_probabilities_are_told_and_the_result_is_kept(caplog):
    model = nn.Sequential(LinearNet(3), nn.Softmax(1))
    images = draw_images(model, 10)

    found = measure(model, images)

    assert found["flags"]["looks_like_probabilities"] is True
    assert len(caplog.records) == 1
    assert "its outputs look like probabilities" in caplog.text
    assert len(curve(found)) == 3


def test_dropout_is_off_unless_the_network_insists_and_modes_are_restored():
    class Insisting(LinearNet):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(nn.functional.dropout(images, 0.1, training=True))

    model = nn.Sequential(nn.Dropout(0.1), LinearNet(3)).train()
    images = draw_images(LinearNet(3), 10)

    quiet, loud = measure(model, images), measure(Insisting(3), images)
    again = measure(Insisting(3), images)

    assert quiet["flags"]["randomised"] is False
    assert model.training
    assert model[0].training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert loud["flags"]["randomised"] is True
    assert loud["least_eps"] == again["least_eps"]


@pytest.mark.parametrize(
    ("classes", "left_out"),
    [(2, "APGD-T: it needs 4 classes"), (3, "APGD-T: it needs 4 classes"), (4, "")],
)
def test_few_classes_leave_out_what_cannot_run_and_say_so(classes, left_out):
    model = LinearNet(classes)
    images = draw_images(model, 12)

    found = measure(model, images, **ALL)

    assert found["flags"]["left_out"] == left_out
    assert ("apgd-t" in found["fooled_by"]) is (not left_out)


def test_debuggers_keep_their_trace_function(model, images):
    def trace(frame, event, argument):
        return None

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        measure(model, images, **{**ALL, "eps": (0.005,)})
        after = sys.gettrace()
    finally:
        sys.settrace(before)

    assert after is trace


def test_nothing_to_attack_is_refused(model, images):
    with pytest.raises(EvaluationError, match=r"^there are no images to attack$"):
        measure(model, images, indices=torch.tensor([], dtype=torch.int64))
    dense = ImageSet(images.images, torch.zeros(36, 4, 4, dtype=torch.int64))
    with pytest.raises(EvaluationError, match=r"^attacks need images with classes, but these are for segm"):
        measure(model, dense)
