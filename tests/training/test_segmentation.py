import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lottery_pipeline.training.segmentation import count, loss, measure_overlaps, resize, score

SIZE = (4, 4)


def draw(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of 3 classes at half the size, and labels with a quarter of the pixels ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 2, 2, generator=generator)
    labels = torch.randint(0, 3, (2, 4, 4), generator=generator)
    labels[0, 0], labels[1, :, 1] = 255, 255
    return logits, labels


def test_the_mean_iou_of_a_known_matrix():
    confusion = torch.tensor([[3, 1], [1, 3]])
    assert measure_overlaps(confusion) == [0.6, 0.6]
    assert score(confusion) == {"accuracy": 0.6, "pixel_accuracy": 0.75}


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_count():
    confusion = torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert measure_overlaps(confusion) == [0.75, 0.0, None]
    assert score(confusion)["accuracy"] == 0.375


def test_without_a_pixel_that_has_a_class_the_score_is_zero():
    assert score(torch.zeros(2, 2, dtype=torch.int64)) == {"accuracy": 0.0, "pixel_accuracy": 0.0}


def test_the_matrix_counts_each_pixel_once_and_no_ignored_one():
    logits, labels = draw()
    confusion = count(logits, labels, SIZE)
    predicted = F.interpolate(logits, size=SIZE, mode="bilinear", align_corners=False).argmax(1)
    expected = torch.zeros(3, 3, dtype=torch.int64)
    for true, guess in zip(labels.flatten().tolist(), predicted.flatten().tolist(), strict=True):
        if true != 255:
            expected[true, guess] += 1
    assert torch.equal(confusion, expected)
    assert int(confusion.sum()) == 2 * 16 - 8


def test_the_loss_is_the_mean_over_the_pixels_that_have_a_class():
    logits, labels = draw()
    pixels = resize(logits, SIZE).permute(0, 2, 3, 1)[labels != 255]
    expected = F.cross_entropy(pixels, labels[labels != 255], label_smoothing=0.1)
    torch.testing.assert_close(loss(logits, labels, SIZE, 0.1), expected)


def test_the_sum_adds_the_mean_of_each_image():
    logits, labels = draw()
    means = [loss(logits[i : i + 1], labels[i : i + 1], SIZE) for i in range(2)]
    torch.testing.assert_close(loss(logits, labels, SIZE, 0.0, "sum"), means[0] + means[1])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_an_ignored_pixel_has_no_gradient_and_an_image_without_classes_no_loss(reduction):
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.full((2, 4, 4), 255)
    assert float(loss(logits.detach(), labels, SIZE, 0.0, reduction)) == 0.0
    labels[0, 2, 3] = 1
    loss(logits, labels, SIZE, 0.0, reduction).backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(1).nonzero().tolist()
    assert touched == [[0, 2, 3]]


def test_logits_of_the_size_of_the_labels_are_not_resized():
    logits = torch.randn(1, 2, 4, 4)
    assert resize(logits, SIZE) is logits


def test_nothing_waits_for_the_device():
    logits, labels = draw()
    # On meta any look at a value is an error, as it would be a wait on a GPU.
    assert count(logits.to("meta"), labels.to("meta"), SIZE).shape == (3, 3)
    assert loss(logits.to("meta"), labels.to("meta"), SIZE).shape == ()
