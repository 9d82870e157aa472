import math

import pytest
import torch
from torch import nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.evaluation import (
    EvaluationError,
    evaluate,
    modes_restored,
    predict,
    recompute_batchnorm_,
)
from tests.training.tiny import TinyDenseNet, TinyNet, tiny_dense_images, tiny_set


class Brightness(nn.Module):
    """Logits (0, 10 * first pixel - 5): class 1 for bright images."""

    def forward(self, images):
        logit = 10 * images[:, 0, 0, 0] - 5
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def bright(values: list[int], labels: list[int]) -> ImageSet:
    return ImageSet(torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1), torch.tensor(labels))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100, None])
def test_every_image_counts_the_same_whatever_the_batch_size(batch_size):
    image_set = bright([0, 255, 255, 0, 255], [0, 1, 0, 1, 1])

    result = evaluate(Brightness(), image_set, batch_size=batch_size)

    right, wrong = math.log(1 + math.exp(-5)), math.log(1 + math.exp(5))
    assert result["accuracy"] == 3 / 5
    assert result["loss"] == pytest.approx((3 * right + 2 * wrong) / 5, rel=1e-5)
    assert result["count"] == 5
    found = predict(Brightness(), image_set, batch_size=batch_size)
    assert found.classes.tolist() == [0, 1, 1, 0, 1]
    assert (found.accuracy, found.loss) == (result["accuracy"], result["loss"])


def test_modes_are_restored_where_they_differ_inside_the_model():
    model = TinyNet().train()
    model.norm.eval()

    evaluate(model, tiny_set(4, seed=0))

    assert model.training
    assert model.dropout.training
    assert not model.norm.training


def test_modes_are_restored_after_an_error():
    model = TinyNet().train()

    def break_down() -> None:
        with modes_restored(model):
            model.eval()
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        break_down()

    assert model.norm.training


def test_evaluation_changes_nothing_and_uses_tracked_statistics():
    model = TinyNet().train()
    with torch.no_grad():
        model.norm.running_mean.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    image_set = tiny_set(9, seed=0)

    whole = evaluate(model, image_set)
    single = [
        evaluate(model, ImageSet(image_set.images[i : i + 1], image_set.labels[i : i + 1])) for i in range(9)
    ]

    assert whole["loss"] == pytest.approx(sum(result["loss"] for result in single) / 9, rel=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_bfloat16_gives_nearly_the_same_loss():
    model, image_set = TinyNet(), tiny_set(12, seed=0)

    exact, rough = evaluate(model, image_set), evaluate(model, image_set, precision="bfloat16")

    assert rough["loss"] == pytest.approx(exact["loss"], rel=0.02)
    assert rough["loss"] != exact["loss"]


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(EvaluationError, match="no images"):
        evaluate(TinyNet(), tiny_set(0, seed=0))


def test_recomputed_statistics_are_the_mean_over_the_batches():
    model, image_set = TinyNet().eval(), tiny_set(10, seed=0)

    recompute_batchnorm_(model, image_set, batches=3, batch_size=10)

    hidden = model.conv(to_pixels(image_set.images.permute(0, 2, 3, 1))).detach()
    torch.testing.assert_close(model.norm.running_mean, hidden.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.norm.running_var, hidden.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
    assert int(model.norm.num_batches_tracked) == 3


def test_recomputing_leaves_weights_modes_and_momentum_alone():
    model, image_set = TinyNet().train(), tiny_set(10, seed=0)
    model.norm.momentum = 0.3
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    recompute_batchnorm_(model, image_set, batches=7, batch_size=4, seed=1)

    assert model.norm.momentum == 0.3
    assert model.training
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    first = model.norm.running_mean.clone()
    recompute_batchnorm_(model, image_set, batches=7, batch_size=4, seed=1)
    assert torch.equal(model.norm.running_mean, first)


def test_statistics_of_one_image_are_refused_but_a_network_without_them_is_fine():
    with pytest.raises(EvaluationError, match="at least 2 images, but there are 1"):
        recompute_batchnorm_(TinyNet(), tiny_set(1, seed=0))
    recompute_batchnorm_(Brightness(), tiny_set(1, seed=0))


@pytest.mark.parametrize(
    ("task", "further"), [("segmentation", "pixel_accuracy"), ("keypoints", "pixel_error")]
)
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_dense_images_count_the_same_whatever_the_batch_size(task, further, batch_size):
    image_set = tiny_dense_images(task).test
    model = TinyDenseNet(2)
    found, whole = predict(model, image_set, batch_size=batch_size), evaluate(model, image_set)
    assert found.scores == {"accuracy": whole["accuracy"], further: whole[further]}
    assert found.loss == pytest.approx(whole["loss"], rel=1e-5)
    assert len(found.classes) == 0
    assert set(whole) == {"accuracy", "loss", "count", further}


def test_the_matrix_of_a_segmentation_is_there_for_tables():
    image_set = tiny_dense_images("segmentation").test
    found = predict(TinyDenseNet(2), image_set)
    assert found.counts.shape == (2, 2)
    assert int(found.counts.sum()) == int((image_set.labels != 255).sum())


def test_a_network_without_statistics_is_evaluated_in_batches_of_one_size():
    sizes = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4, track_running_stats=False))
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    image_set = tiny_set(9, seed=0)

    found = predict(model, image_set, batch_size=4)

    assert sizes == [4, 4, 4]
    pixels = to_pixels(image_set.images.permute(0, 2, 3, 1))
    with torch.no_grad():
        first, second, last = (model(pixels[places]) for places in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 0, 1, 2]))
    logits = torch.cat([first, second, last[:1]])
    assert found.classes.tolist() == logits.argmax(1).tolist()
    expected = nn.functional.cross_entropy(logits, image_set.labels)
    assert found.loss == pytest.approx(float(expected), rel=1e-5)


def test_a_single_image_is_evaluated_beside_itself_where_batch_norm_needs_two():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36, track_running_stats=False), nn.Linear(36, 3))
    found = predict(model, tiny_set(1, seed=0))
    assert found.classes.tolist() == [int(model[2].bias.argmax())]  # no variance: all features are 0


def test_other_networks_are_evaluated_with_a_smaller_last_batch():
    sizes = []
    model = TinyNet()
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    evaluate(model, tiny_set(9, seed=0), batch_size=4)
    assert sizes == [4, 4, 1]


def test_statistics_of_instance_norm_are_recomputed_too():
    model, image_set = nn.Sequential(nn.InstanceNorm2d(1, track_running_stats=True)), tiny_set(10, seed=0)
    before = model[0].momentum

    recompute_batchnorm_(model, image_set, batches=5, batch_size=2)

    images = image_set.images / 255
    torch.testing.assert_close(model[0].running_mean, images.mean((2, 3)).mean(0))
    torch.testing.assert_close(model[0].running_var, images.var((2, 3)).mean(0))
    assert model[0].momentum == before
