"""Tests of tickets that start from tickets."""

import pytest
import torch

from lottery_pipeline.evaluation.metrics import evaluate_ticket
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.methods import METHODS
from lottery_pipeline.options import METHOD_OPTIONS, ImpOptions
from lottery_pipeline.search.composition import adopt, pretrain_parent
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.tickets import Ticket, TicketError
from lottery_pipeline.tickets.ticket import make_ticket
from tests.tiny import RECIPE, draw_images, draw_masks, pretrain_tiny, same_bits

GONE = ("network.layer1.1", "network.layer3.2")
METHODS_ON_TOP = ("ltr", "cts", "snip", "grasp", "synflow", "magnitude", "random")


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images, "resnet20")


@pytest.fixture(scope="module")
def parent(images, dense):
    return make_parent(images, dense)


@pytest.fixture(scope="module")
def parent_run(images, parent):
    return pretrain_parent(parent, images, RECIPE, rewind_epoch=1, seed=0, device="cpu")


def make_parent(images, dense, **changes) -> Ticket:
    """Make a layer ticket by hand: two blocks of a ResNet-20 left out."""
    state = {name: value for name, value in dense.initial.items() if not name.startswith(GONE)}
    prunable = {name: value for name, value in state.items() if name.endswith("weight") and value.dim() > 1}
    content = {
        "method": "layer",
        "spec": dense.spec.model_copy(update={"removed_blocks": GONE}),
        "masks": full_masks(prunable),
        "state": state,
        "seed": 0,
        "rewind_step": 0,
        "parents": {"dense": dense.fingerprint, "images": images.fingerprint},
    }
    return make_ticket(**(content | changes))


def compose(images, dense, parent, parent_run, method, **costs) -> Extraction:
    options = (
        ImpOptions(rounds=2, rate=0.5)
        if method == "ltr"
        else METHOD_OPTIONS[method](density=0.1, **({"length": 2} if method == "cts" else {}))
    )
    found = METHODS[method](Search(images, parent_run, RECIPE, seed=0, device="cpu"), options)
    return adopt(found, parent, parent_run, dense, **costs)


def test_the_run_of_a_parent_starts_from_its_weights(parent, parent_run):
    assert same_bits(parent_run.initial, parent.state)
    assert parent_run.spec == parent.header.spec
    assert not same_bits(parent_run.rewind, parent.state)


def test_the_run_of_a_parent_is_taken_up_again(images, parent, parent_run):
    again = pretrain_parent(parent, images, RECIPE, rewind_epoch=1, seed=0, device="cpu", stored=parent_run)
    assert again is parent_run


def test_parents_of_other_weights_have_other_runs(images, dense, parent_run):
    other = make_parent(
        images,
        dense,
        state={name: value * 1 for name, value in make_parent(images, dense).state.items()}
        | {"network.fc.bias": torch.ones(3)},
    )
    run = pretrain_parent(other, images, RECIPE, rewind_epoch=1, seed=0, device="cpu", stored=parent_run)
    assert run.fingerprint != parent_run.fingerprint


@pytest.mark.parametrize("method", METHODS_ON_TOP)
def test_every_method_works_on_top_of_a_layer_ticket(images, dense, parent, parent_run, method):
    found = compose(images, dense, parent, parent_run, method)
    ticket = found.ticket
    assert ticket.method == f"layer>{method}"
    assert ticket.header.spec.removed_blocks == GONE
    assert ticket.prunable == parent.prunable
    assert ticket.kept == int((0.25 if method == "ltr" else 0.1) * parent.prunable)
    assert ticket.header.parents["parent"] == parent.fingerprint
    assert ticket.header.parents["dense"] == dense.fingerprint


def test_the_row_of_a_chain_has_the_costs_of_both_steps(images, dense, parent, parent_run, tmp_path):
    alone = METHODS["cts"](
        Search(images, parent_run, RECIPE, seed=0, device="cpu"), METHOD_OPTIONS["cts"](density=0.1, length=2)
    )
    found = compose(images, dense, parent, parent_run, "cts", search_epochs=5.0, search_seconds=100.0)
    # CTS starts at theta_k: one epoch of training the parent counts, too.
    assert found.search_epochs == pytest.approx(alone.search_epochs + 5 + 1)
    assert found.search_seconds > 100
    found.ticket.save(tmp_path / "ticket.safetensors")
    ticket = Ticket.load(tmp_path / "ticket.safetensors")
    trained = retrain_ticket(ticket, images, RECIPE, seed=0, device="cpu")
    row = evaluate_ticket(
        trained.ticket, ticket, images, dense, history=trained.history, device="cpu", **found.costs
    )
    assert row["method"] == "layer>cts"
    assert row["kept"] == int(0.1 * parent.prunable)
    assert row["prunable"] == dense.metrics["prunable"] > parent.prunable
    assert row["density"] == row["kept"] / row["prunable"]
    assert row["search_epochs"] == found.search_epochs
    entries = [(entry["name"], entry["epochs"]) for entry in row["ledger"]]
    assert entries == [
        ("layer search", 5.0),
        ("layer to theta_k", 1.0),
        ("cts search", alone.search_epochs),
        ("retraining", row["train_epochs"]),
    ]
    assert row["macs_theoretical"] < row["macs_executed"] < row["macs_dense"]


def test_a_masked_ticket_cannot_be_a_parent(images, dense, parent):
    masked = make_parent(images, dense, masks=draw_masks(parent.state))
    with pytest.raises(TicketError, match="would bring weights back"):
        pretrain_parent(masked, images, RECIPE, rewind_epoch=1, seed=0)


def test_a_parent_starts_at_step_0(images, dense):
    late = make_parent(images, dense, rewind_step=2)
    with pytest.raises(TicketError, match=r"set layer\.extraction\.start to initial"):
        pretrain_parent(late, images, RECIPE, rewind_epoch=1, seed=0)


def test_a_trained_ticket_cannot_be_a_parent(images, dense):
    trained = make_parent(images, dense, kind="trained")
    with pytest.raises(TicketError, match="trained already"):
        pretrain_parent(trained, images, RECIPE, rewind_epoch=1, seed=0)


def test_a_parent_of_other_images_is_refused(parent):
    with pytest.raises(TicketError, match="other images"):
        pretrain_parent(parent, draw_images(seed=1), RECIPE, rewind_epoch=1, seed=0)
