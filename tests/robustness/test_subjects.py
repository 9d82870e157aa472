"""What is measured: the dense network and the tickets that were found in it."""

import logging
from dataclasses import replace

import pytest
import torch

from lottery_pipeline.robustness.subjects import collect_subjects
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.training.dense_file import save_dense_run
from tests.tiny import draw_images, draw_ticket, pretrain_tiny


def collect(dense, tickets, images, tmp_path, **changes):
    return collect_subjects(dense, tickets, images, models=tmp_path, **changes)


def test_the_dense_network_comes_first_and_tickets_are_compared_with_it(dense, trained, images, tmp_path):
    first, second = collect(dense, {"snip": lambda: trained}, images, tmp_path)
    assert (first.name, first.reference, first.density) == ("dense", "dense", 1.0)
    assert (second.name, second.reference) == ("snip", "dense")
    assert second.kept == trained.kept
    assert second.density == trained.kept / first.prunable
    assert second.describe()["method"] == "snip"


def test_a_network_has_the_weights_that_it_was_trained_to(dense, trained, images, tmp_path):
    built = [
        subject.build().state_dict()
        for subject in collect(dense, {"snip": lambda: trained}, images, tmp_path)
    ]
    for state, weights in zip(built, (dense.final, trained.state), strict=True):
        assert all(torch.equal(state[name], weights[name]) for name in weights)


def test_a_stored_ticket_is_read_only_if_it_is_wanted(dense, trained, images, tmp_path):
    def refuse():
        raise AssertionError("nobody asked for it")

    tickets = {"snip": lambda: trained, "ltr": refuse}
    assert [s.name for s in collect(dense, tickets, images, tmp_path, chosen=["snip"])] == ["dense", "snip"]


def test_a_ticket_of_another_dense_run_is_left_out_with_a_warning(dense, trained, images, tmp_path, caplog):
    other = pretrain_tiny(images, "lenet_300_100", seed=1)
    with caplog.at_level(logging.WARNING):
        (only,) = collect(other, {"snip": lambda: trained}, images, tmp_path)
    assert only.name == "dense"
    assert "snip is left out: the snip ticket comes from another dense run" in caplog.text
    with pytest.raises(TicketError, match="another dense run"):
        collect(other, {"snip": lambda: trained}, images, tmp_path, chosen=["snip"])


def test_a_ticket_that_another_run_has_replaced_is_refused(dense, trained, images, tmp_path):
    tickets = {"snip": lambda: trained}
    made = {"snip": trained.fingerprint}
    assert len(collect(dense, tickets, images, tmp_path, made=made)) == 2
    with pytest.raises(TicketError, match="is not the one that this run has made"):
        collect(dense, tickets, images, tmp_path, made={"snip": "0" * 64})


def test_no_ticket_stays_in_memory_and_one_that_is_replaced_meanwhile_is_refused(
    dense, trained, images, tmp_path
):
    stored = [trained]
    _, subject = collect(dense, {"snip": lambda: stored[0]}, images, tmp_path)
    held = [cell.cell_contents for cell in subject.build.__closure__]
    assert trained not in held
    stored[0] = replace(trained, header=trained.header.model_copy(update={"fingerprint": "0" * 64}))
    with pytest.raises(TicketError, match="another run has replaced the stored ticket of snip"):
        subject.build()


def test_a_chosen_ticket_that_is_missing_names_the_command_that_makes_it(dense, images, tmp_path):
    with pytest.raises(TicketError, match="there is no trained ticket of ltr; `kedro run --pipelines ltr`"):
        collect(dense, {}, images, tmp_path, chosen=["ltr"])


def test_a_ticket_with_a_network_of_its_own_stands_beside_its_own_dense_network(images, tmp_path):
    dense, own = pretrain_tiny(images), pretrain_tiny(images, "lenet_300_100", seed=1)
    (tmp_path / "supertickets").mkdir()
    save_dense_run(own, tmp_path / "supertickets" / "parent_run.safetensors")
    parents = {"dense": own.fingerprint, "images": images.fingerprint}
    changes = {"spec": own.spec, "state": own.final, "kind": "trained", "parents": parents}
    masks = {name: tensor.abs() > 0 for name, tensor in own.final.items() if tensor.dim() == 2}
    ticket = draw_ticket(method="supertickets", masks=masks, **changes)
    found = collect(
        dense, {"supertickets": lambda: ticket}, images, tmp_path, allow_factory="tests.own_model:build"
    )
    assert [(subject.name, subject.reference) for subject in found] == [
        ("dense", "dense"),
        ("supertickets_dense", "supertickets_dense"),
        ("supertickets", "supertickets_dense"),
    ]


def test_a_dense_run_of_other_images_is_refused(dense, tmp_path):
    with pytest.raises(TicketError, match="other images"):
        collect(dense, {}, draw_images(side=6, seed=5), tmp_path)
