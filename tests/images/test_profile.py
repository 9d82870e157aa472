import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from lottery_pipeline.images.profile import (
    GAP,
    count_classes,
    describe_images,
    draw_samples,
    summarise_images,
)
from lottery_pipeline.images.splits import ImageSet, assemble_splits
from tests.images.builders import make_set, make_splits
from tests.training.tiny import tiny_dense_images


def open_grid(figure) -> np.ndarray:
    kind, data = figure.data[0].source.split(",", 1)
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def constant_splits(side: int, classes: int = 2, channels: int = 1):
    """Images of class n are filled with 10 * n."""
    labels = torch.arange(classes).repeat(3)
    images = (10 * labels).to(torch.uint8).view(-1, 1, 1, 1).repeat(1, channels, side, side)
    part = ImageSet(images, labels)
    return assemble_splits(part, part, part, [f"class {n}" for n in range(classes)])


def test_the_profile_counts_classes_in_every_part():
    assert count_classes(make_splits()) == [
        {"class": "cat", "train": 2, "validation": 0, "test": 1},
        {"class": "dog", "train": 2, "validation": 1, "test": 1},
    ]


def test_the_summary_is_plain_json():
    splits = make_splits(source="digits")
    summary = json.loads(json.dumps(summarise_images(splits)))
    expected = {"train": 4, "validation": 1, "test": 2, "classes": 2, "channels": 3, "height": 4, "width": 4}
    assert summary.items() >= (expected | {"bytes": 7 * 48, "mean": list(splits.mean)}).items()


def test_the_description_is_plain_json_with_the_figure_of_the_samples():
    splits = make_splits()
    description = json.loads(json.dumps(describe_images(splits), allow_nan=False))
    assert description["classes"] == count_classes(splits)
    assert description["summary"]["fingerprint"] == splits.fingerprint
    assert description["samples"] == json.loads(draw_samples(splits).to_json())


@pytest.mark.parametrize(("side", "shown"), [(8, 32), (20, 20), (48, 48), (200, 64)])
def test_the_grid_shows_a_row_for_each_class(side, shown):
    figure = draw_samples(constant_splits(side), per_class=2)
    grid = open_grid(figure)
    assert grid.shape == (2 * shown + GAP, 2 * shown + GAP, 3)
    assert np.unique(grid[:shown, :shown]).tolist() == [0]
    assert np.unique(grid[shown + GAP :, shown + GAP :]).tolist() == [10]
    assert figure.layout.yaxis.ticktext == ("class 0", "class 1")


def test_the_name_of_a_class_is_text_and_not_markup():
    part = make_set([0, 1])
    splits = assemble_splits(part, part, part, ["<b>bold</b>", "$x$ & y"])
    assert draw_samples(splits).layout.yaxis.ticktext == (
        "&lt;b&gt;bold&lt;/b&gt;",
        "&#36;x&#36; &amp; y",
    )


def test_missing_samples_stay_white_and_many_classes_are_cut():
    figure = draw_samples(constant_splits(32, classes=5, channels=3), per_class=4, max_classes=3)
    grid = open_grid(figure)
    assert np.unique(grid[:32, -32:]).tolist() == [255]
    assert grid.shape[0] == 3 * 32 + 2 * GAP
    assert "first 3 of 5 classes" in figure.layout.title.text


def test_a_class_absent_from_training_is_an_empty_row():
    splits = assemble_splits(make_set([0, 0]), make_set([1]), make_set([1]), ["cat", "dog"])
    grid = open_grid(draw_samples(splits, per_class=2))
    assert np.unique(grid[-32:]).tolist() == [255]


def test_a_figure_of_real_images_stays_small():
    from lottery_pipeline.images.preparation import prepare_images
    from lottery_pipeline.images.request import ImageRequest

    assert len(draw_samples(prepare_images(ImageRequest(), seed=0)).to_json()) < 100_000


# Dense tasks ------------------------------------------------------------------------------------------------


def test_pixels_are_counted_where_they_have_a_class():
    splits = tiny_dense_images("segmentation")
    square = 18 * 12  # of 16 pixels the first row has no class
    counts = {"train": 18 * 48, "validation": 18 * 48, "test": 18 * 48}
    assert count_classes(splits) == [
        {"class": "ground", **counts},
        {"class": "square", **dict.fromkeys(counts, square)},
    ]


def test_the_images_that_show_a_point_are_counted():
    points = tiny_dense_images("keypoints")
    labels = points.train.labels.clone()
    labels[:5, 1, 2] = 0
    splits = assemble_splits(
        ImageSet(points.train.images, labels), points.validation, points.test, ["first", "second"]
    )
    assert [row["train"] for row in count_classes(splits)] == [18, 13]


@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
def test_the_description_of_a_dense_task_names_it(task):
    description = json.loads(json.dumps(describe_images(tiny_dense_images(task)), allow_nan=False))
    assert description["summary"]["task"] == task
    assert "marked" in description["samples"]["layout"]["title"]["text"]
    assert "task" not in summarise_images(make_splits())


def test_the_pixels_of_a_class_are_marked_in_its_row():
    images = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[0, 4:9, 20:30], labels[0, 0] = 1, 255
    part = ImageSet(images, labels)
    grid = open_grid(draw_samples(assemble_splits(part, part, part, ["ground", "square"]), per_class=1))
    first, second = grid[:32], grid[32 + GAP :]
    assert (second[..., 0] > 0).nonzero()[0].tolist() == labels[0].eq(1).nonzero()[:, 0].tolist()
    assert np.array_equal(first[..., 0] > 0, labels[0].eq(0).numpy())
    assert not second[..., 1].any()


def test_a_point_is_marked_where_it_is():
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    labels = torch.tensor([[[16 * 10 + 3, 16 * 20 + 9, 1], [0, 0, 0]], [[0, 0, 0], [16 * 31, 0, 1]]])
    part = ImageSet(images, labels)
    grid = open_grid(draw_samples(assemble_splits(part, part, part, ["a", "b"]), per_class=1))
    rows, columns = np.nonzero(grid[:32, :, 0])
    assert (set(rows), set(columns)) == ({19, 20, 21}, {9, 10, 11})
    rows, columns = np.nonzero(grid[32 + GAP :, :, 0])
    assert (set(rows), set(columns)) == ({0, 1}, {30, 31})
