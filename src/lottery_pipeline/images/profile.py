"""What is in the prepared images: class counts, statistics and a look at some of them."""

import base64
import io
import json
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from PIL import Image

from lottery_pipeline.images.samples import pick_samples
from lottery_pipeline.images.splits import PARTS, ImageSet, ImageSplits
from lottery_pipeline.images.targets import IGNORED, POINTS_PER_PIXEL

THUMBNAIL_SIDES = (32, 64)  # smaller images are enlarged by whole factors, larger ones reduced
GAP = 2  # pixels between thumbnails
WHITE = 255
MARK = (255, 0, 255)  # colour of marked pixels and points
MARK_STRENGTH = 0.6
_TITLES = {
    "classification": "Training images",
    "segmentation": "Training images, the pixels of each class marked",
    "keypoints": "Training images, each point marked",
}


def describe_images(splits: ImageSplits) -> dict[str, Any]:
    """Describe the splits as plain JSON.

    Returns:
        ``summary``: counts, image size, channels, mean, std and fingerprints. ``classes``: a row per class
        or point with the columns class, train, validation and test. ``samples``: the figure of
        ``draw_samples``.
    """
    return {
        "summary": summarise_images(splits),
        "classes": count_classes(splits),
        "samples": json.loads(draw_samples(splits).to_json()),
    }


def count_classes(splits: ImageSplits) -> list[dict[str, Any]]:
    """Count the images of each class in each part: a row per class.

    In segmentation pixels are counted; for keypoints there is a row per point, with the images that show it.
    """
    counts = [_count(getattr(splits, part), splits.num_classes) for part in PARTS]
    return [
        {"class": name, **dict(zip(PARTS, row, strict=True))}
        for name, row in zip(splits.class_names, zip(*counts, strict=True), strict=True)
    ]


def _count(part: ImageSet, classes: int) -> list[int]:
    labels = part.labels.cpu()
    if part.task == "keypoints":
        return [int(number) for number in labels[..., 2].sum(0)]
    if part.task == "segmentation":
        labels = labels[labels != IGNORED]
    return [int(number) for number in torch.bincount(labels, minlength=classes)]


def summarise_images(splits: ImageSplits) -> dict[str, Any]:
    """Describe the splits as a whole: counts, image size, channels, mean, std, storage, fingerprints.

    A dense task is named; classification is not.
    """
    height, width = splits.image_size
    return {
        "source": splits.source,
        **({} if splits.task == "classification" else {"task": splits.task}),
        **{part: len(getattr(splits, part)) for part in PARTS},
        "classes": splits.num_classes,
        "channels": splits.channels,
        "height": height,
        "width": width,
        "mean": list(splits.mean),
        "std": list(splits.std),
        "bytes": sum(getattr(splits, part).images.numel() for part in PARTS),
        "storage": splits.storage,
        "fingerprint": splits.fingerprint,
        "request": splits.request,
    }


def draw_samples(splits: ImageSplits, per_class: int = 10, max_classes: int = 20) -> go.Figure:
    """Draw training images in a grid, a row per class; of a dense task a row per class or point, marked.

    The grid is one PNG inside the figure, so that its JSON stays small.

    Args:
        splits: prepared images.
        per_class: images of each class, evenly spaced over the training part.
        max_classes: rows; further classes are left out, and the title says so.
    """
    labels = splits.train.labels.cpu()
    shown = min(max_classes, splits.num_classes)
    rows = [_lay_out_row(splits, labels, label, per_class) for label in range(shown)]
    grid = np.concatenate(rows, axis=0)[:-GAP, :-GAP]
    row_height = rows[0].shape[0]
    figure = go.Figure(go.Image(source=_encode_png(grid), hoverinfo="skip"))
    title = _TITLES[splits.task]
    if shown < splits.num_classes:
        title += f" (the first {shown} of {splits.num_classes} classes)"
    figure.update_layout(
        title=title,
        xaxis={"visible": False},
        yaxis={
            "tickmode": "array",
            "tickvals": [label * row_height + (row_height - GAP) / 2 for label in range(shown)],
            "ticktext": [as_text(name) for name in splits.class_names[:shown]],
            "showgrid": False,
            "automargin": True,
        },
        height=max(300, 120 + 40 * shown),
        margin={"l": 20, "r": 20, "b": 20},
    )
    return figure


def as_text(name: str) -> str:
    """Return a name as plotly prints it: its own markup and formulas mean nothing."""
    return escape(name).replace("$", "&#36;")


def _lay_out_row(splits: ImageSplits, labels: torch.Tensor, label: int, per_class: int) -> np.ndarray:
    """Return uint8 ``[height, width, 3]``: the thumbnails of one class, each with a gap right and below."""
    chosen = pick_samples(labels, label, per_class, splits.task)
    images = splits.train.images[chosen].cpu()
    if splits.task != "classification":
        images = _mark(images, labels[chosen], label, splits)
    thumbnails = [_make_thumbnail(image.expand(3, -1, -1).permute(1, 2, 0).numpy()) for image in images]
    height, width = _thumbnail_size(*splits.image_size)
    row = np.full((height + GAP, per_class * (width + GAP), 3), WHITE, dtype=np.uint8)
    for column, thumbnail in enumerate(thumbnails):
        left = column * (width + GAP)
        row[:height, left : left + width] = thumbnail
    return row


def _mark(images: torch.Tensor, labels: torch.Tensor, label: int, splits: ImageSplits) -> torch.Tensor:
    """Return uint8 ``[n, 3, H, W]``: the images with the pixels of a class, or with a point, in colour."""
    if splits.task == "segmentation":
        marked = labels == label
    else:
        x, y = (labels[:, label, :2] // POINTS_PER_PIXEL).unbind(1)
        height, width = splits.image_size
        near_x = (torch.arange(width) - x[:, None]).abs() <= 1
        near_y = (torch.arange(height) - y[:, None]).abs() <= 1
        marked = near_y[:, :, None] & near_x[:, None]
    colour = torch.tensor(MARK, dtype=torch.float32).view(1, 3, 1, 1)
    images = images.expand(-1, 3, -1, -1).float()
    return torch.where(marked[:, None], torch.lerp(images, colour, MARK_STRENGTH), images).to(torch.uint8)


def _thumbnail_size(height: int, width: int) -> tuple[int, int]:
    smallest, largest = THUMBNAIL_SIDES
    longest = max(height, width)
    if longest < smallest:
        factor = smallest // longest
        return height * factor, width * factor
    if longest > largest:
        return max(1, height * largest // longest), max(1, width * largest // longest)
    return height, width


def _make_thumbnail(image_hwc: np.ndarray) -> np.ndarray:
    height, width = _thumbnail_size(*image_hwc.shape[:2])
    image = Image.fromarray(np.ascontiguousarray(image_hwc))
    resampling = Image.Resampling.NEAREST if height >= image.height else Image.Resampling.BILINEAR
    return np.asarray(image.resize((width, height), resampling))


def _encode_png(image_hwc: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image_hwc)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
