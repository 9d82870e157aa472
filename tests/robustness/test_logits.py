import pytest
import torch
from torch import nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.robustness.logits import compute_logits
from lottery_pipeline.training.evaluation import EvaluationError, predict
from tests.tiny import draw_images, spec_for


def test_logits_are_those_of_a_forward_pass_on_pixels_between_0_and_1():
    images = draw_images()
    model = build_model(spec_for(images), seed=0)
    found = compute_logits(model, images.test, device="cpu")
    with torch.no_grad():
        expected = model.eval()(images.test.images / 255)
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(found.argmax(1), predict(model, images.test).classes)


def test_dropout_is_off_and_every_mode_is_restored():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3), nn.Dropout(0.5))
    model[1].eval()
    images = draw_images().test
    first, again = (compute_logits(model, images, device="cpu") for _ in range(2))
    assert torch.equal(first, again)
    assert [module.training for module in model] == [True, False, True, True]


def test_large_images_are_run_in_batches():
    sizes = []

    class Count(nn.Module):
        def forward(self, images):
            sizes.append(len(images))
            return images.mean((2, 3))

    images = ImageSet(torch.zeros(5, 1, 1024, 2048, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64))
    assert compute_logits(Count(), images, device="cpu").shape == (5, 1)
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([nn.Identity()], r"shape \[N, K\], got \[20, 1, 4, 4\]"),
        (
            [nn.Flatten(), nn.LogSoftmax(0), nn.Threshold(10.0, float("nan"))],
            "20 of 20 images are not finite",
        ),
    ],
)
def test_what_are_no_logits_is_refused(layers, reason):
    with pytest.raises(EvaluationError, match=reason):
        compute_logits(nn.Sequential(*layers), draw_images().test, device="cpu")


def test_no_images_have_no_logits():
    empty = ImageSet(torch.zeros(0, 1, 4, 4, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(EvaluationError, match="no images"):
        compute_logits(nn.Flatten(), empty, device="cpu")


def test_logits_of_a_network_without_statistics_are_those_of_whole_batches():
    images = draw_images(counts=(4, 4, 513))
    name = "tests.user_networks:flat_batch_statistics"
    model = build_model(spec_for(images, name), seed=0, allow_factory=name)
    found = compute_logits(model, images.test, device="cpu")
    assert torch.equal(found.argmax(1), predict(model, images.test).classes)
