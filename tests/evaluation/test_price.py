"""Tests of what a ticket costs."""

import pytest
import torch

from lottery_pipeline.costs.memory import PeakMemory
from lottery_pipeline.evaluation import price
from lottery_pipeline.evaluation.price import Effort, price_ticket
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import CostOptions
from lottery_pipeline.reproducibility.measured import flatten_record
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.dense import DenseRun
from tests.tiny import RECIPE, draw_images, spec_for

BLOCK = "network.layer1.1"
WORK = [Effort("search", "snip", 2.0, 7.0), Effort("training", "retraining", 3.0, 11.0)]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images():
    return draw_images(side=8, counts=(10, 3, 3))


@pytest.fixture(scope="module")
def dense(images):
    spec = spec_for(images, "resnet20")
    state = build_model(spec, seed=0).state_dict()
    return DenseRun(spec, RECIPE, 0, 0, state, state, state, [], {}, images.fingerprint, "d" * 64)


def make(dense, *, gone=(), dead=None):
    """Make a trained ticket without some blocks, one convolution all pruned."""
    state = {name: value for name, value in dense.initial.items() if not name.startswith(gone or "-")}
    masks = full_masks({name: value for name, value in state.items() if value.dim() > 1})
    if dead:
        masks[dead].zero_()
    return make_ticket(
        method="layer" if gone else "ltr",
        spec=dense.spec.model_copy(update={"removed_blocks": gone}),
        masks=masks,
        state=state,
        seed=0,
        rewind_step=0,
        parents={"dense": dense.fingerprint},
        kind="trained",
    )


def block_macs(side=8):
    return 2 * 16 * 16 * 9 * side * side


def test_a_removed_block_is_missing_in_theory_and_in_what_runs(images, dense):
    found = price_ticket(make(dense, gone=(BLOCK,)), dense, images, WORK, device=CPU)
    assert found["macs_dense"] - found["macs_executed"] == block_macs()
    assert found["macs_theoretical"] == found["macs_executed"]
    assert found["parameters_dense"] - found["parameters_executed"] == 4_672
    rows = {row["layer"]: row["macs"] for row in found["layer_costs"]}
    assert rows[f"{BLOCK}.conv1.weight"] == 0


def test_a_masked_layer_is_missing_in_what_runs_only_where_it_can_really_go(images, dense):
    whole = price_ticket(make(dense), dense, images, WORK, device=CPU)
    assert whole["macs_executed"] == whole["macs_theoretical"] == whole["macs_dense"]
    dead = price_ticket(make(dense, dead=f"{BLOCK}.conv2.weight"), dense, images, WORK, device=CPU)
    assert dead["macs_dense"] - dead["macs_theoretical"] == block_macs() // 2
    # Nothing reads the channels between the two convolutions any more.
    assert dead["macs_executed"] < dead["macs_theoretical"]


def test_search_and_training_are_counted_at_the_size_of_the_network_that_ran(images, dense):
    whole = price_ticket(make(dense), dense, images, WORK, device=CPU)
    small = price_ticket(make(dense, gone=(BLOCK,)), dense, images, WORK, device=CPU)
    assert whole["search_macs"] == whole["train_macs"] * 2 // 3
    assert whole["train_macs"] - small["train_macs"] == 3 * 10 * 3 * block_macs()
    assert [row["stage"] for row in whole["ledger"]] == ["search", "training"]
    assert [row["name"] for row in whole["ledger"]] == ["snip", "retraining"]
    assert whole["measured"]["ledger"] == [{"seconds": 7.0}, {"seconds": 11.0}]


def test_a_search_in_a_larger_network_says_itself_what_it_took(images, dense):
    work = [Effort("search", "joint search", 2.0, 7.0, macs=12_345), WORK[1]]
    found = price_ticket(make(dense, gone=(BLOCK,)), dense, images, work, device=CPU)
    assert found["search_macs"] == 12_345
    assert (
        found["train_macs"]
        == price_ticket(make(dense, gone=(BLOCK,)), dense, images, WORK, device=CPU)["train_macs"]
    )


def test_latency_is_of_the_network_that_is_shipped(images, dense):
    options = CostOptions(batch_sizes=(2,), repeats=2)
    found = price_ticket(make(dense, gone=(BLOCK,)), dense, images, WORK, options, device=CPU)
    measured = found["measured"]
    assert measured["latency_ms_2"] > 0
    assert measured["speedup_2"] > 0
    assert [row["model"] for row in measured["latency"]["rows"]] == ["dense", "ticket"]
    assert 0 < found["peak_memory_bytes"] < found["peak_memory_bytes_dense"]


@pytest.mark.parametrize(("kind", "measured"), [("modelled", False), ("measured", True)])
def test_memory_is_measured_only_where_an_allocator_gave_it(images, dense, monkeypatch, kind, measured):
    monkeypatch.setattr(price, "forward_memory", lambda *_: PeakMemory(5, 4, kind))
    options = CostOptions(batch_sizes=(2,), repeats=2)
    found = price_ticket(make(dense), dense, images, WORK, options, device=CPU)
    assert ("peak_memory_bytes" in found["measured"]) is measured
    assert ("peak_memory_bytes" in found) is not measured
    assert flatten_record(found)["peak_memory_bytes"] == 5


def test_carbon_is_power_by_time_and_says_so(images, dense):
    options = CostOptions(latency=False, power_watts=100.0, country="DEU", pue=1.5)
    found = price_ticket(make(dense), dense, images, WORK, options, device=CPU)["measured"]
    assert found["co2_grams"] == pytest.approx(0.1 * 18 / 3600 * 1.5 * 380.95)
    assert (found["carbon"]["kind"], found["carbon"]["power_source"]) == ("modelled", "given")
    assert found["carbon"]["seconds"] == 18


def test_codecarbon_gives_the_power_while_the_network_works(images, dense, monkeypatch):
    monkeypatch.setattr(price, "_WATCHED_SECONDS", 0.3)
    options = CostOptions(latency=False, power_watts=50.0, country="FRA", tracker="codecarbon")
    found = price_ticket(make(dense), dense, images, WORK, options, device=CPU)["measured"]
    assert found["carbon"]["power_watts"] == pytest.approx(50, rel=0.2)
    assert found["carbon"]["power_source"].startswith("codecarbon")


def test_a_network_that_needs_two_images_is_not_timed_on_one(images):
    name = "tests.user_networks:flat_batch_statistics"
    spec = spec_for(images, name)
    state = build_model(spec, seed=0, allow_factory=name).state_dict()
    dense = DenseRun(spec, RECIPE, 0, 0, state, state, state, [], {}, images.fingerprint, "d" * 64)
    masks = full_masks({key: value for key, value in state.items() if value.dim() > 1})
    trained = make_ticket(
        method="ltr",
        spec=spec,
        masks=masks,
        state=state,
        seed=0,
        rewind_step=0,
        parents={},
        kind="trained",
        allow_factory=name,
    )
    options = CostOptions(batch_sizes=(1, 2), repeats=2)
    measured = price_ticket(trained, dense, images, WORK, options, device=CPU)["measured"]
    assert [row["batch_size"] for row in measured["latency"]["rows"]] == [2, 2]
    assert "latency_ms_1" not in measured
    options = CostOptions(batch_sizes=(1,), repeats=2)
    assert "latency" not in price_ticket(trained, dense, images, WORK, options, device=CPU)["measured"]
