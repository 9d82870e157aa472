"""The images: some of them, and how many there are of each class."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from lottery_pipeline.images.profile import as_text

# What is counted, and of what, by task.
_COUNTED = {
    "classification": ("Images", "class"),
    "segmentation": ("Pixels", "class"),
    "keypoints": ("Images", "visible point"),
}


def draw_samples(overview: Mapping[str, Any]) -> go.Figure:
    """Draw training images in a grid, a row per class.

    Args:
        overview: as ``describe_images`` makes it; it holds the figure.
    """
    return go.Figure(overview["samples"])


def draw_class_counts(overview: Mapping[str, Any]) -> go.Figure:
    """Draw the number of images of each class as bars, one for each part that has images.

    In segmentation these are pixels; for keypoints, the images that show each point.

    Args:
        overview: as ``describe_images`` makes it.
    """
    summary, rows = overview["summary"], overview["classes"]
    names = [as_text(str(row["class"])) for row in rows]
    # Plain lists: a figure saved as JSON then opens in every version of plotly.js.
    figure = go.Figure(
        [
            go.Bar(name=part, x=names, y=[row[part] for row in rows])
            for part in ("train", "validation", "test")
            if summary[part]
        ]
    )
    counted, group = _COUNTED[summary.get("task", "classification")]
    size = f"{summary['width']}x{summary['height']}, {summary['channels']} channels"
    figure.update_layout(
        title=f"{counted} per {group} ({summary['source']}, {size})",
        barmode="group",
        # Long names are turned, and stand clear of the axis beside them.
        xaxis={
            "title": group,
            "type": "category",
            "automargin": True,
            "autotickangles": [0, 90],
            "ticks": "outside",
            "ticklen": 8,
        },
        yaxis={"title": counted.lower()},
    )
    return figure
