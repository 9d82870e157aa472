"""A user edits a network between two runs: nothing made with the old code is taken for the new."""

import importlib
import sys

import pytest

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.options import MASK_OPTIONS
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.parents import check_ticket
from lottery_pipeline.tickets import Ticket, TicketError
from lottery_pipeline.tickets.export import export_ticket, load_exported
from lottery_pipeline.training.dense import pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run
from tests.tiny import RECIPE, draw_images, find, spec_for

NAME = "edited_net:make"
SOURCE = """
from torch import nn
def make(num_classes, channels, image_size):
    pixels = channels * image_size[0] * image_size[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.{}(), nn.Linear(8, num_classes))
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def edit(activation):
        (tmp_path / "edited_net.py").write_text(SOURCE.format(activation))
        sys.modules.pop("edited_net", None)
        importlib.invalidate_caches()

    yield edit
    sys.modules.pop("edited_net", None)


def train(images, stored=None, checkpoints=None):
    spec = spec_for(images, NAME)
    given = {"rewind_epoch": 1.0, "seed": 0, "device": "cpu", "allow_factory": NAME}
    return pretrain(images, spec, RECIPE, stored=stored, checkpoints=checkpoints, **given)


def test_an_edited_network_is_trained_again_and_its_interrupted_training_is_not_resumed(write, tmp_path):
    images = draw_images()
    write("ReLU")
    path, checkpoints = tmp_path / "dense.safetensors", Checkpoints(tmp_path / "work")
    save_dense_run(train(images, checkpoints=checkpoints), path)
    stored = load_dense_run(path)
    assert train(images, stored) is stored
    write("Sigmoid")
    edited = train(images, stored, checkpoints)
    write("Sigmoid")
    assert edited.history[-1]["train_loss"] == train(images).history[-1]["train_loss"]
    assert edited.fingerprint != stored.fingerprint
    assert edited.history[-1]["train_loss"] != stored.history[-1]["train_loss"]


def test_a_dense_run_that_does_not_say_what_it_was_made_with_is_made_again(write):
    images = draw_images()
    write("ReLU")
    run = train(images)
    assert run.spec.behaviour is not None
    old = type(run)(**{**vars(run), "spec": spec_for(images, NAME), "fingerprint": "0" * 64})
    assert train(images, old) is not old


def test_tickets_and_exports_of_an_edited_network_are_refused_in_one_sentence(write, tmp_path):
    images = draw_images()
    write("ReLU")
    dense = train(images)
    ticket = find(
        "magnitude", images, dense, MASK_OPTIONS["magnitude"](density=0.5), allow_factory=NAME
    ).ticket
    ticket.save(tmp_path / "ticket.safetensors")
    export_ticket(ticket, tmp_path / "export")
    assert Ticket.load(tmp_path / "ticket.safetensors", NAME).spec.behaviour == dense.spec.behaviour
    write("Sigmoid")
    fault = r"the code of model 'edited_net:make' has changed since this was made \(its source, computation\)"
    with pytest.raises(TicketError, match=fault):
        Ticket.load(tmp_path / "ticket.safetensors", NAME)
    with pytest.raises(TicketError, match=fault):
        load_exported(tmp_path / "export", NAME)
    with pytest.raises(ModelError, match=fault):
        ticket.build()
    with pytest.raises(TicketError, match="its code has changed between them; extract the ticket again"):
        check_ticket(ticket, images, train(images))
