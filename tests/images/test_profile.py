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
