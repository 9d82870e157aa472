"""Composition: nodes of a method within a layer ticket, without Kedro."""

import re
from typing import Any

import pytest

from lottery_pipeline.options import LayerOptions, SaliencyOptions
from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, RetrainingParameters
from lottery_pipeline.pipelines.ticket_extraction import nodes
from tests.tiny import draw_images, pretrain_tiny

PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=20, learning_rate=0.05)
SHARED = (PRETRAINING, RetrainingParameters(), 0, "cpu", None)
MODEL = ModelParameters(name="resnet20")


class Recorder:
    """Notes under which names rows are logged."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def log_record(self, prefix: str, _row: Any) -> None:
        self.names.add(prefix)

    def log_search(self, method: str, label: str, _row: Any) -> None:
        self.names.add(f"{method}.{label}")


def test_a_ticket_in_a_ticket_goes_through_all_nodes_under_names_that_mlflow_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(nodes, "current", lambda: recorder)
    images = draw_images()
    dense = pretrain_tiny(images, "resnet20", PRETRAINING.recipe())
    options = LayerOptions(criterion=("random",), removed=1)
    parent, search, _ = nodes.extract_ticket("layer", images, dense, options, MODEL, *SHARED)
    run = nodes.pretrain_parent(parent, images, None, *SHARED)
    assert nodes.pretrain_parent(parent, images, run, *SHARED) is run
    chosen = SaliencyOptions(density=0.1, images_per_class=2)
    ticket, costs, trace = nodes.extract_ticket(
        "snip",
        images,
        dense,
        chosen,
        MODEL,
        *SHARED,
        parent=parent,
        parent_run=run,
        parent_search=search,
    )
    assert ticket.method == "layer>snip"
    assert costs["measured"]["search_seconds"] > search["measured"]["search_seconds"]
    assert len(trace) == 1
    nodes.retrain_ticket(ticket, images, *SHARED)
    assert recorder.names == {"layer.parent_history", "layer_snip.history"}
    assert all(re.fullmatch(r"[\w. /:-]+", name) for name in recorder.names)
