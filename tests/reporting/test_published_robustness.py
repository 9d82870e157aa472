import pytest

from lottery_pipeline.reporting.published_robustness import PublishedRow, find_published


def test_resnet18_on_cifar10_has_six_methods_at_three_sparsities():
    published = find_published("torchvision:CIFAR10", "resnet18")
    assert len(published.rows) == 18
    assert published.rows[0] == PublishedRow("FlyingBird", 0.9, pytest.approx(0.8069), pytest.approx(0.4649))
    (li,) = [row for row in published.rows if (row.method, row.sparsity) == ("Li20 (LTH)", 0.99)]
    assert (li.clean, li.attacked) == pytest.approx((0.5942, 0.3137))
    assert all(row.attacked < row.clean for row in published.rows)
    assert published.note == "Its rows for structured pruning: not known here."


@pytest.mark.parametrize(
    ("data", "model"),
    [
        ("torchvision:CIFAR10", "vgg16"),
        ("torchvision:SVHN", "resnet18"),
        ("torchvision:SVHN", "vgg16"),
    ],
)
def test_rows_that_are_not_known_are_not_invented(data, model):
    published = find_published(data, model)
    assert published.rows == ()
    assert "not known here" in published.note


@pytest.mark.parametrize(
    ("data", "model"),
    [("digits", "resnet18"), ("torchvision:CIFAR10", "resnet20"), ("torchvision:CIFAR100", "resnet18")],
)
def test_a_run_of_another_kind_has_nothing_beside_it(data, model):
    assert find_published(data, model) is None
