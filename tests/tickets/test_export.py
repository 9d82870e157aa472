"""Tests of tickets written as a folder of weights and architecture."""

import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.ties import find_ties
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.export import (
    ARCHITECTURE_FILE,
    WEIGHTS_FILE,
    WEIGHTS_KEY,
    export_ticket,
    load_exported,
    sum_page,
)
from lottery_pipeline.tickets.tensor_file import tensor_file_bytes
from lottery_pipeline.tickets.ticket import Ticket
from tests.tiny import (
    OWN_MODEL,
    RECIPE,
    draw_images,
    draw_masks,
    draw_ticket,
    must_not_train,
    same_bits,
    spec_for,
    tiny_spec,
)

BLOCK = "network.layer2.1"
NARROWED = ((f"{BLOCK}.conv1", 32, 5), (f"{BLOCK}.bn1", 5, 5), (f"{BLOCK}.conv2", 5, 32))
# Runs the images at the first path through every folder named after it.
RUNNER = """
import sys
from pathlib import Path
from safetensors.torch import load_file, save_file
from lottery_pipeline.tickets.export import load_exported
images = load_file(sys.argv[1])["images"]
for folder in sys.argv[2:]:
    save_file({"logits": load_exported(folder)(images).detach()}, Path(folder) / "logits")
"""


def draw_reduced(**changes: object) -> Ticket:
    """A ResNet-20 with batch statistics of its own, nothing masked."""
    spec = tiny_spec("resnet20", width=8, **changes)
    state = build_model(spec, seed=1).state_dict()
    generator = make_generator(0, "statistics")
    for name, tensor in state.items():
        if name.endswith("running_mean"):
            tensor.uniform_(-0.1, 0.1, generator=generator)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
    masks = {name: torch.ones_like(mask) for name, mask in draw_masks(state).items()}
    return draw_ticket(spec=spec, masks=masks, state=state, method="layer")


def train_masked() -> Ticket:
    images = draw_images(side=8)
    spec = spec_for(images, "resnet20")
    state = build_model(spec, seed=0).state_dict()
    parents = {"images": images.fingerprint}
    ticket = draw_ticket(
        spec=spec, state=state, masks=draw_masks(state, density=0.5), rewind_step=0, parents=parents
    )
    return retrain_ticket(
        ticket, images, RECIPE.model_copy(update={"epochs": 1}), seed=0, device="cpu"
    ).ticket


@pytest.fixture(scope="module")
def trained() -> Ticket:
    return train_masked()


def read_page(folder: Path) -> dict[str, Any]:
    return json.loads((folder / ARCHITECTURE_FILE).read_text())


def rewrite_page(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Forge the page and its sum, so that only deeper checks can find the fault."""
    page = read_page(folder)
    change(page)
    page["sha256"] = sum_page(page)
    (folder / ARCHITECTURE_FILE).write_text(json.dumps(page))


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Forge the weights and the sum, so that only deeper checks can find the fault."""
    state = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    change(state)
    content = tensor_file_bytes(state, {}, key=WEIGHTS_KEY)
    (folder / WEIGHTS_FILE).write_bytes(content)
    rewrite_page(folder, lambda page: page.update(weights_sha256=hashlib.sha256(content).hexdigest()))


def test_a_new_process_computes_the_same_logits_bit_for_bit(tmp_path, trained):
    tickets = {
        "layer": draw_reduced(removed_blocks=("network.layer1.1", "network.layer3.2")),
        "narrowed": draw_reduced(narrowed=NARROWED),
        "trained": trained,
    }
    images = torch.rand(3, 1, 8, 8, generator=make_generator(0, "images"))
    safetensors.torch.save_file({"images": images}, tmp_path / "images")
    for name, ticket in tickets.items():
        export_ticket(ticket, tmp_path / name)
    folders = [tmp_path / name for name in tickets]
    subprocess.run([sys.executable, "-c", RUNNER, tmp_path / "images", *folders], check=True)
    for name, ticket in tickets.items():
        wanted = ticket.build().eval()(images).detach()
        assert same_bits(safetensors.torch.load_file(tmp_path / name / "logits"), {"logits": wanted})
        assert wanted.unique().numel() > 3


def test_the_weights_are_a_plain_state_dict_with_pruned_weights_exactly_zero(tmp_path, trained):
    weights, _ = export_ticket(trained, tmp_path)
    state = safetensors.torch.load_file(weights)
    assert same_bits(dict(sorted(state.items())), dict(sorted(trained.state.items())))
    for name, mask in trained.masks.items():
        assert not state[name][~mask].view(torch.int32).any()  # +0.0 has no bit set
    model = build_model(trained.header.spec, seed=9)
    model.load_state_dict(state)


def test_the_page_says_what_the_weights_are_and_what_they_take(tmp_path):
    ticket = draw_reduced(removed_blocks=("network.layer1.1",))
    weights, architecture = export_ticket(ticket, tmp_path / "new" / "folder")
    page = json.loads(architecture.read_text())
    assert page["input"] == {
        "shape": [1, 8, 8],
        "dtype": "float32",
        "range": [0, 1],
        "normalisation": "inside",
    }
    assert page["spec"]["removed_blocks"] == ["network.layer1.1"]
    assert page["spec"]["mean"] == [0.5]
    assert (page["format_version"], page["kind"], page["method"], page["classes"]) == (
        2,
        "ticket",
        "layer",
        3,
    )
    assert (page["density"], page["kept"], page["prunable"]) == (1.0, ticket.kept, ticket.prunable)
    assert page["fingerprint"] == ticket.fingerprint
    assert page["parents"] == {"dense": "a" * 64, "images": "b" * 64}
    assert page["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert page["versions"]["torch"] == str(torch.__version__)


def test_the_module_is_in_eval_mode_and_the_same_ticket_gives_the_same_bytes(tmp_path, trained):
    first, second = (export_ticket(trained, tmp_path / name) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    model = load_exported(tmp_path / "first")
    assert not any(module.training for module in model.modules())
    assert read_page(tmp_path / "first")["kind"] == "trained"


def test_a_model_of_ones_own_is_built_only_on_request(tmp_path):
    spec = tiny_spec(OWN_MODEL)
    state = build_model(spec, seed=0, allow_factory=OWN_MODEL).state_dict()
    ticket = draw_ticket(spec=spec, state=state, masks=draw_masks(state), allow_factory=OWN_MODEL)
    export_ticket(ticket, tmp_path)
    with pytest.raises(TicketError, match="name it as allow_factory if you trust it"):
        load_exported(tmp_path)
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(load_exported(tmp_path, OWN_MODEL)(images), ticket.build()(images))


@pytest.mark.parametrize("network", ["tied", "twice", "Embedded"])
def test_a_tied_weight_is_written_once_and_is_one_weight_in_the_module(tmp_path, network):
    name = f"tests.user_networks:{network}"
    spec = tiny_spec(name)
    model = build_model(spec, seed=0, allow_factory=name)
    masks = {key: weight > 0 for key, weight in prunable_parameters(model).items()}
    state = model.state_dict()
    ticket = draw_ticket(spec=spec, state=state, masks=masks, allow_factory=name)
    export_ticket(ticket, tmp_path)
    assert safetensors.torch.load_file(tmp_path / WEIGHTS_FILE).keys() == state.keys()
    module = load_exported(tmp_path, name)
    assert find_ties(module) == find_ties(model)
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(module(images), ticket.build().eval()(images))


def truncate(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-40])


def flip(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[-17] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)


def set_value(name: str, value: float) -> Callable[[Path], None]:
    return lambda folder: rewrite_weights(folder, lambda state: state[name].view(-1)[:1].fill_(value))


def set_value_at(page: dict[str, Any], keys: tuple[str, ...], value: object) -> dict[str, Any]:
    part = page
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    return page


def set_page(*keys: str, value: object) -> Callable[[Path], None]:
    return lambda folder: rewrite_page(folder, lambda page: set_value_at(page, keys, value))


def edit(*keys: str, value: object) -> Callable[[Path], object]:
    """Change the page as a person would, who leaves its sum alone."""
    return lambda folder: (folder / ARCHITECTURE_FILE).write_text(
        json.dumps(set_value_at(read_page(folder), keys, value))
    )


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def leave_out_a_block(folder: Path) -> None:
    def change(page: dict[str, Any]) -> None:
        page["spec"]["removed_blocks"] = ["network.layer1.1"]
        page["prunable"] -= 2 * 16 * 16 * 9
        page["density"] = page["kept"] / page["prunable"]

    rewrite_page(folder, change)


def make_pipe(folder: Path) -> None:
    (folder / ARCHITECTURE_FILE).unlink()
    os.mkfifo(folder / ARCHITECTURE_FILE)


@pytest.mark.parametrize(
    ("file", "spoil", "fault"),
    [
        (WEIGHTS_FILE, truncate, "but the file has"),
        (WEIGHTS_FILE, flip, "SHA-256 is not the one"),
        (WEIGHTS_FILE, set_value("network.fc.bias", float("nan")), "not finite"),
        (WEIGHTS_FILE, set_value("network.bn1.running_var", -1.0), "negative variance"),
        (WEIGHTS_FILE, write(WEIGHTS_FILE, pickle.dumps({"weight": [0.0] * 99})), "declares a table"),
        (WEIGHTS_FILE, lambda folder: (folder / WEIGHTS_FILE).unlink(), "No such file"),
        (
            WEIGHTS_FILE,
            lambda folder: rewrite_weights(folder, lambda state: state.pop("network.fc.bias")),
            "network.fc.bias is missing",
        ),
        (
            WEIGHTS_FILE,
            lambda folder: rewrite_weights(folder, lambda state: state.update(extra=torch.ones(1))),
            "extra does not belong",
        ),
        (
            WEIGHTS_FILE,
            lambda folder: rewrite_weights(
                folder, lambda state: state.update({"network.fc.bias": torch.ones(4)})
            ),
            "has shape",
        ),
        (WEIGHTS_FILE, set_page("weights_sha256", value="0" * 64), "SHA-256 is not the one"),
        (WEIGHTS_FILE, leave_out_a_block, "does not belong"),
        (ARCHITECTURE_FILE, lambda folder: (folder / ARCHITECTURE_FILE).unlink(), "No such file"),
        (ARCHITECTURE_FILE, make_pipe, "not a regular file"),
        (ARCHITECTURE_FILE, set_page("format_version", value=3), "format_version"),
        (ARCHITECTURE_FILE, set_page("format_version", value=1), "sha256 stands in version 2 and only there"),
        (ARCHITECTURE_FILE, edit("sha256", value=None), "sha256 stands in version 2 and only there"),
        (ARCHITECTURE_FILE, edit("spec", "mean", value=[0.9]), "it was changed after it was written"),
        (ARCHITECTURE_FILE, edit("spec", "std", value=[0.9]), "it was changed after it was written"),
        (ARCHITECTURE_FILE, edit("fingerprint", value="f" * 64), "it was changed after it was written"),
        (ARCHITECTURE_FILE, edit("method", value="cts"), "it was changed after it was written"),
        (ARCHITECTURE_FILE, edit("versions", "torch", value="9"), "it was changed after it was written"),
        (ARCHITECTURE_FILE, edit("sha256", value="0" * 64), "it was changed after it was written"),
        (ARCHITECTURE_FILE, set_page("kept", value=2**40), "kept"),
        (ARCHITECTURE_FILE, set_page("surprise", value=1), "surprise is unknown"),
        (ARCHITECTURE_FILE, set_page("spec", "surprise", value=1), "spec.surprise is unknown"),
        (ARCHITECTURE_FILE, set_page("density", value=0.5), "density is not kept / prunable"),
        (ARCHITECTURE_FILE, set_page("spec", "name", value="resnet32"), "prunable is not the number of"),
        (ARCHITECTURE_FILE, set_page("classes", value=7), "not those of the spec"),
        (ARCHITECTURE_FILE, set_page("input", "range", value=[0, 255]), "input.range.1"),
        (ARCHITECTURE_FILE, set_page("spec", "name", value="os:system"), "is code outside this package"),
        (ARCHITECTURE_FILE, set_page("spec", "name", value="no such"), "unknown model"),
        (
            ARCHITECTURE_FILE,
            set_page("spec", "removed_blocks", value=["network.layer2.0"]),
            "not a residual block with an identity shortcut",
        ),
        (
            ARCHITECTURE_FILE,
            set_page("spec", "narrowed", value=[["network.conv1", 1, 10**30]]),
            "spec.narrowed.0.2",
        ),
        (
            ARCHITECTURE_FILE,
            set_page("spec", "narrowed", value=[["network.conv1", 1, 99_999]]),
            "has 1 and 16 channels",
        ),
        (ARCHITECTURE_FILE, write(ARCHITECTURE_FILE, b"[" * 100_000), "it is not JSON"),
        (ARCHITECTURE_FILE, write(ARCHITECTURE_FILE, b" " * (2**21 + 1)), "longer than"),
        (ARCHITECTURE_FILE, write(ARCHITECTURE_FILE, b"\xff\xfe"), "it is not JSON"),
    ],
)
def test_a_hostile_folder_is_refused_in_one_sentence_that_names_the_file(
    tmp_path, trained, file, spoil, fault
):
    export_ticket(trained, tmp_path)
    spoil(tmp_path)
    with pytest.raises(TicketError, match=fault) as caught:
        load_exported(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"cannot use {tmp_path / file}: ")
    assert "\n" not in said
    assert len(said) < 600


def test_a_page_that_was_only_laid_out_anew_is_read(tmp_path, trained):
    export_ticket(trained, tmp_path)
    (tmp_path / ARCHITECTURE_FILE).write_text(json.dumps(read_page(tmp_path), sort_keys=True))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(load_exported(tmp_path)(images), trained.build().eval()(images))


def test_a_folder_of_version_1_is_read_with_a_warning(tmp_path, trained, caplog):
    export_ticket(trained, tmp_path)
    page = read_page(tmp_path)
    del page["sha256"]
    (tmp_path / ARCHITECTURE_FILE).write_text(json.dumps(page | {"format_version": 1}))
    images = torch.rand(2, 1, 8, 8)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(load_exported(tmp_path)(images), trained.build().eval()(images))
    (record,) = caplog.records
    assert "without a sum of its content" in record.getMessage()


def test_more_weights_than_are_said_to_be_kept_are_refused(tmp_path, trained):
    export_ticket(trained, tmp_path)
    name, mask = next(iter(trained.masks.items()))
    rewrite_weights(tmp_path, lambda state: state[name][~mask].numel() and state[name].fill_(1.0))
    with pytest.raises(TicketError, match="prunable weights are not 0, but architecture"):
        load_exported(tmp_path)


def test_the_weights_of_another_ticket_are_refused(tmp_path, trained):
    export_ticket(draw_reduced(), tmp_path)
    other, _ = export_ticket(trained, tmp_path / "other")
    (tmp_path / WEIGHTS_FILE).write_bytes(other.read_bytes())
    with pytest.raises(TicketError, match="damaged or from another export"):
        load_exported(tmp_path)


def test_a_large_network_without_its_weights_is_refused_before_it_is_built(tmp_path, monkeypatch):
    export_ticket(draw_ticket(width=4), tmp_path)

    def enlarge(page: dict[str, Any]) -> None:
        page["spec"]["image_size"] = page["input"]["shape"][1:] = [1500, 1500]
        page["prunable"] = 300 * 1500 * 1500 + 100 * 300 + 3 * 100
        page["density"] = page["kept"] / page["prunable"]

    rewrite_page(tmp_path, enlarge)
    monkeypatch.setattr("lottery_pipeline.tickets.export.build_model", must_not_train)
    with pytest.raises(TicketError, match=r"has shape \[300, 16\], but the model has \[300, 2250000\]"):
        load_exported(tmp_path)
