"""A small report as a page, and what can be read of a page."""

import re
from html.parser import HTMLParser

import pandas as pd

from lottery_pipeline.reporting.figures import draw_accuracy_against_density, draw_layer_densities
from lottery_pipeline.reporting.leaderboard import build_leaderboard
from lottery_pipeline.reporting.report import render_report
from tests.reporting.records import make_controls, make_dense_metrics, make_ladder, make_metrics

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def render(metrics=None, **changes):
    metrics = (
        {"lth": make_metrics("lth"), "ltr": make_metrics("ltr"), "cts": None} if metrics is None else metrics
    )
    ladders = {"lth": make_ladder("lth"), "ltr": make_ladder("ltr"), "cts": None}
    controls = {"lth": None, "ltr": make_controls("ltr"), "cts": None}
    dense = make_dense_metrics()
    arguments = {
        "leaderboard": build_leaderboard(metrics),
        "figures": {
            "layer_densities": draw_layer_densities(metrics),
            "accuracy_against_density": draw_accuracy_against_density(dense, metrics, ladders, controls),
        },
        "data_profile": pd.DataFrame({"class": ["zero", "one"], "train": [120, 130], "mean": [0.25, 0.5]}),
        "dense_metrics": dense,
        "ladders": ladders,
        "controls": controls,
        "ownership": None,
        "architecture": None,
        "context": {
            "experiment": "base",
            "variant": "base",
            "data": "digits",
            "model": "resnet20",
            "seed": 0,
            "command": "kedro run",
            "test_images": 360,
            "parameters": {"pretraining": {"epochs": 30}},
            "versions": {"torch": "2.14.1"},
        },
    }
    return render_report(**(arguments | changes))


class Page(HTMLParser):
    """Collects the text outside scripts and styles, the tags with attributes, and checks that tags close."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))
