"""Figures of the images, from their description alone."""

from typing import Any

from lottery_pipeline.reporting.images_figure import draw_class_counts, draw_samples

OVERVIEW: dict[str, Any] = {
    "summary": {
        "train": 3,
        "validation": 0,
        "test": 2,
        "source": "digits",
        "width": 8,
        "height": 8,
        "channels": 1,
    },
    "classes": [
        {"class": "cat", "train": 1, "validation": 0, "test": 1},
        {"class": "dog", "train": 2, "validation": 0, "test": 1},
    ],
    "samples": {
        "data": [{"type": "image", "source": "data:image/png;base64,AA=="}],
        "layout": {"height": 300},
    },
}


def test_the_bars_hold_the_counts_of_the_parts_that_are_not_empty() -> None:
    figure = draw_class_counts(OVERVIEW)
    assert [(bar.name, bar.x, bar.y) for bar in figure.data] == [
        ("train", ("cat", "dog"), (1, 2)),
        ("test", ("cat", "dog"), (1, 1)),
    ]
    assert figure.layout.title.text == "Images per class (digits, 8x8, 1 channels)"


def test_the_samples_are_those_of_the_description() -> None:
    figure = draw_samples(OVERVIEW)
    assert figure.data[0].source == "data:image/png;base64,AA=="
    assert figure.layout.height == 300


def test_the_name_of_a_class_is_text_and_not_markup() -> None:
    names = ["<a href=x>y</a>", "<b>", "&amp;", "$x$"]
    rows = [{"class": name, "train": 1, "validation": 0, "test": 1} for name in names]
    figure = draw_class_counts({**OVERVIEW, "classes": rows})
    assert figure.data[0].x == (
        "&lt;a href=x&gt;y&lt;/a&gt;",
        "&lt;b&gt;",
        "&amp;amp;",
        "&#36;x&#36;",
    )


def test_what_is_counted_depends_on_the_task() -> None:
    texts = {}
    for task in ("segmentation", "keypoints"):
        figure = draw_class_counts(OVERVIEW | {"summary": OVERVIEW["summary"] | {"task": task}})
        texts[task] = (figure.layout.title.text.partition(" (")[0], figure.layout.yaxis.title.text)
    assert texts == {
        "segmentation": ("Pixels per class", "pixels"),
        "keypoints": ("Images per visible point", "images"),
    }
