"""Tests of tickets written as ONNX files; they need the extra ``onnx``."""

import re
import sys

import onnx
import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.onnx import check_onnx, export_onnx
from lottery_pipeline.tickets.ticket import Ticket
from tests.tiny import draw_masks, draw_ticket, tiny_spec


def draw_layer_ticket() -> Ticket:
    spec = tiny_spec("resnet20", width=8, removed_blocks=("network.layer1.1", "network.layer2.2"))
    state = build_model(spec, seed=0).state_dict()
    return draw_ticket(spec=spec, state=state, masks=draw_masks(state, density=0.5))


def draw(count: int, side: int) -> torch.Tensor:
    return torch.rand(count, 1, side, side, generator=make_generator(0, "images"))


@pytest.mark.parametrize(("name", "side"), [("lenet_300_100", 4), ("resnet20", 8)])
def test_the_onnx_file_computes_the_logits_of_the_ticket_at_any_batch_size(tmp_path, capfd, name, side):
    ticket = draw_layer_ticket() if name == "resnet20" else draw_ticket(name, width=side)
    path = export_onnx(ticket, tmp_path / "ticket.onnx")
    for count in (1, 3):
        images = draw(count, side)
        assert ticket.build().eval()(images).abs().max() > 1e-3  # so that 1e-5 means something
        assert check_onnx(ticket, path, images) < 1e-5
    assert [entry.name for entry in tmp_path.iterdir()] == ["ticket.onnx"]
    assert capfd.readouterr() == ("", "")


def test_a_weight_that_two_layers_share_is_written_once(tmp_path):
    name = "tests.user_networks:tied"
    spec = tiny_spec(name)
    state = build_model(spec, seed=0, allow_factory=name).state_dict()
    ticket = draw_ticket(spec=spec, state=state, masks=draw_masks(state), allow_factory=name)
    path = export_onnx(ticket, tmp_path / "ticket.onnx")
    assert check_onnx(ticket, path, draw(3, 4)) < 1e-5
    shapes = [list(tensor.dims) for tensor in onnx.load(path).graph.initializer]
    assert shapes.count([16, 16]) == 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    ticket = draw_ticket(width=4)
    return ticket, export_onnx(ticket, tmp_path_factory.mktemp("onnx") / "ticket.onnx", opset=18)


def test_the_file_names_its_ends_its_ticket_and_no_folder_of_this_machine(exported):
    import onnxruntime

    ticket, path = exported
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ends = [(end.name, end.shape) for end in (*session.get_inputs(), *session.get_outputs())]
    assert ends == [("images", ["batch", 1, 4, 4]), ("logits", ["batch", 3])]
    said = {"method": "ltr", "density": str(ticket.density), "fingerprint": ticket.fingerprint}
    assert session.get_modelmeta().custom_metadata_map == {**said, "sha256": fingerprint(said)}
    assert b".py" not in path.read_bytes()


def test_a_difference_above_the_tolerance_is_an_error_that_states_both(exported):
    other = draw_ticket(width=4, seed=1)
    with pytest.raises(
        TicketError, match=r"differ by \d[^ ]* from those of the ticket, but at most 0.0001 is"
    ):
        check_onnx(other, exported[1], draw(2, 4))


def test_a_file_that_names_another_ticket_than_it_was_written_for_is_refused(exported, tmp_path):
    ticket, path = exported
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(path.read_bytes().replace(ticket.fingerprint.encode(), b"f" * 64))
    with pytest.raises(TicketError, match="says of its ticket was changed after it was written"):
        check_onnx(ticket, changed, draw(2, 4))


def test_a_logit_that_is_no_number_is_a_difference(exported):
    ticket, path = exported
    with pytest.raises(TicketError, match="differ by NaN"):
        check_onnx(ticket, path, draw(2, 4) * float("nan"))


@pytest.mark.parametrize(
    "images", [torch.zeros(0, 1, 4, 4), torch.zeros(2, 1, 4, 5), torch.zeros(2, 1, 4, 4, dtype=torch.uint8)]
)
def test_images_that_are_not_those_of_the_model_are_refused(exported, images):
    said = "images must be float32 of shape [N, 1, 4, 4] with N at least 1"
    with pytest.raises(TicketError, match=re.escape(said)):
        check_onnx(*exported, images)


@pytest.mark.parametrize("opset", [7, 25])
def test_an_opset_torch_does_not_write_is_refused(tmp_path, opset):
    with pytest.raises(TicketError, match=f"opset must be 18 to 24, not {opset}"):
        export_onnx(draw_ticket(), tmp_path / "t.onnx", opset=opset)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_sentence_that_names_the_extra(monkeypatch, exported, tmp_path, package):
    monkeypatch.setitem(sys.modules, package, None)
    ticket, path = exported
    calls = {
        "onnxscript": lambda: export_onnx(ticket, tmp_path / "t.onnx"),
        "onnxruntime": lambda: check_onnx(ticket, path, draw(2, 4)),
    }
    with pytest.raises(TicketError, match=rf"needs the package '{package}'; install the extra: .*\[onnx\]"):
        calls[package]()
