"""Composition: nodes of a method within a layer ticket, without Kedro."""

import re
from typing import Any, get_type_hints

import pytest

from lottery_pipeline.options import COMPOSED_OPTIONS, LayerOptions, SaliencyOptions
from lottery_pipeline.parameters import ModelParameters, PretrainingParameters, RetrainingParameters
from lottery_pipeline.pipelines.composition import nodes
from lottery_pipeline.pipelines.ticket_extraction import nodes as extraction
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
    for module in (nodes, extraction):
        monkeypatch.setattr(module, "current", lambda: recorder)
    images = draw_images()
    dense = pretrain_tiny(images, "resnet20", PRETRAINING.recipe())
    options = LayerOptions(criterion=("random",), removed=1)
    parent, search, _ = extraction.extract_layer(images, dense, options, MODEL, *SHARED)
    run = nodes.pretrain_parent(parent, images, None, *SHARED)
    assert nodes.pretrain_parent(parent, images, run, *SHARED) is run
    chosen = SaliencyOptions(density=0.1, images_per_class=2)
    ticket, costs, trace = nodes.compose_snip(images, dense, parent, run, search, chosen, MODEL, *SHARED)
    assert ticket.method == "layer>snip"
    assert costs["search_seconds"] > search["search_seconds"]
    assert len(trace) == 1
    extraction.retrain_ticket(ticket, images, *SHARED)
    assert recorder.names == {"layer.parent_history", "layer_snip.history"}
    assert all(re.fullmatch(r"[\w. /:-]+", name) for name in recorder.names)


def test_every_composition_has_a_node_that_is_typed_for_kedro() -> None:
    for name, options in COMPOSED_OPTIONS.items():
        compose = getattr(nodes, f"compose_{name.partition('_')[2]}")
        assert get_type_hints(compose)["extraction"] is options
