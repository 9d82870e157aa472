"""Composition: nodes of a method within a layer ticket, without Kedro."""

from typing import Any

import pytest

from lottery_pipeline.options import LayerOptions, SaliencyOptions
from lottery_pipeline.parameters import (
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.pipelines.ticket_extraction import nodes
from lottery_pipeline.training.dense_file import save_dense_run
from tests.tiny import draw_images, pretrain_tiny

PRETRAINING = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=20, learning_rate=0.05)
MODEL = ModelParameters(name="resnet20")


class Recorder:
    """Notes whose rows are logged, and what is reused."""

    def __init__(self) -> None:
        self.names: set[tuple[str, str]] = set()
        self.reused: list[str] = []

    def log_row(self, owner: str, part: str, _row: Any) -> None:
        self.names.add((owner, part))

    def note_reuse(self, name: str, _fingerprint: str) -> None:
        self.reused.append(name)


def test_a_ticket_in_a_ticket_goes_through_all_nodes_under_the_name_of_its_block(
    monkeypatch: pytest.MonkeyPatch, work: WorkParameters
) -> None:
    recorder, shared = Recorder(), (PRETRAINING, RetrainingParameters(), 0, "cpu", work)
    monkeypatch.setattr(nodes, "current", lambda: recorder)
    images = draw_images()
    dense = pretrain_tiny(images, "resnet20", PRETRAINING.recipe())
    options = LayerOptions(criterion=("random",), removed=1)
    parent, search, _ = nodes.extract_ticket("layer", images, dense, options, MODEL, *shared)
    run = nodes.pretrain_parent(parent, images, *shared)
    save_dense_run(run, work.models / "layer" / "parent_run.safetensors")
    assert recorder.reused == []
    assert nodes.pretrain_parent(parent, images, *shared).fingerprint == run.fingerprint
    assert recorder.reused == ["layer.parent_run"]
    chosen = SaliencyOptions(density=0.1, images_per_class=2)
    ticket, costs, trace = nodes.extract_ticket(
        "snip",
        images,
        dense,
        chosen,
        MODEL,
        *shared,
        parent=parent,
        parent_run=run,
        parent_search=search,
    )
    assert ticket.method == "layer>snip"
    assert costs["measured"]["search_seconds"] > search["measured"]["search_seconds"]
    assert len(trace) == 1
    nodes.retrain_ticket(ticket, images, *shared)
    assert recorder.names == {("", "parent"), ("layer_snip", "training")}
