"""Signing, verifying and disclosing, as a user runs them."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from lottery_pipeline.hooks.requests import RunFailedError, RunRefusedError
from lottery_pipeline.ownership.keys import read_key_file
from lottery_pipeline.tickets import Ticket
from tests.kedro_project import load_catalog, redirected, run

RELEASE = "data/06_models/test/base/signature_embedding/release"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    with redirected(folder, tracking=True):
        run("cts")
        run("signature_embedding")
        run("ownership_verification", "reporting")
    return folder


@pytest.fixture
def copied(signed: Path, tmp_path: Path) -> Path:
    shutil.copytree(signed, tmp_path, dirs_exist_ok=True)
    return tmp_path


def verify(folder: Path, **params: Any) -> dict[str, Any]:
    with redirected(folder):
        run("ownership_verification", **params)
    found: dict[str, Any] = json.loads((folder / "data/08_reporting/test/base/ownership.json").read_text())
    return found


def forget_key(folder: Path) -> None:
    (folder / "owner_key.json").unlink()


def test_the_owner_sees_that_the_published_ticket_is_the_own(copied: Path) -> None:
    found = verify(copied)
    assert found["verdict"] == "owned"
    assert found["mask_code"]["decoded"]
    assert found["bits"] > found["alpha_bits"]


def test_a_receiver_without_a_key_sees_an_authentic_release_and_needs_no_images(copied: Path) -> None:
    forget_key(copied)
    shutil.rmtree(copied / "data/03_primary")
    (copied / "data/06_models/test/base/dense_run.safetensors").unlink()
    assert verify(copied)["verdict"] == "authentic release"
    assert not (copied / "owner_key.json").exists(), "who only verifies gets no key"


def test_a_permuted_copy_is_owned_only_for_whoever_can_open_the_claim(copied: Path) -> None:
    state = permuted(Ticket.load(copied / RELEASE / "ticket.safetensors"))
    save_file({f"module.{name}": tensor for name, tensor in state.items()}, copied / "stolen.safetensors")
    stolen = str(copied / "stolen.safetensors")
    assert verify(copied, suspect=stolen)["verdict"] == "owned"
    with redirected(copied):
        run("ownership_disclosure")
    forget_key(copied)
    # The log of the owner alone dates the release; a judge must know an entry of it from elsewhere.
    assert verify(copied, suspect=stolen)["verdict"] == "not shown"
    last = json.loads((copied / RELEASE / "chain.jsonl").read_text().splitlines()[-1])["entry"]
    disclosed = verify(copied, suspect=stolen, ownership_verification={"known_entry": last})
    assert disclosed["verdict"] == "owned"
    assert disclosed["mask_code"]["aligned"]
    shutil.rmtree(copied / "data/06_models/test/base/ownership_disclosure")
    assert verify(copied, suspect=stolen)["verdict"] == "not shown"


def test_a_suspect_that_is_older_than_the_commitment_refuses_the_claim(copied: Path) -> None:
    seen = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    found = verify(copied, ownership_verification={"suspect_seen": seen})
    assert found["verdict"] == "refused"


def test_predictions_alone_can_be_verified_and_do_not_speak_for_the_published_file(copied: Path) -> None:
    with redirected(copied):
        run("ownership_disclosure")
        disclosure = load_catalog().load("disclosure")
    forget_key(copied)
    labels = disclosure.triggers.labels.tolist()
    table = copied / "predictions.csv"
    other = [(label + 1) % 10 for label in labels]
    table.write_text(
        "prediction,base_prediction\n" + "".join(f"{a},{b}\n" for a, b in zip(labels, other, strict=True))
    )
    found = verify(copied, predictions=str(table))
    assert found["triggers"]["hits"] == len(labels)
    assert found["mask_code"] is None
    table.write_text("prediction,base_prediction\n" + "".join(f"{b},{b}\n" for b in other))
    assert verify(copied, predictions=str(table))["verdict"] == "not shown"


def test_missing_files_are_named_before_the_run(copied: Path) -> None:
    named: dict[str, Any] = {
        "suspect": "/nowhere/model.safetensors",
        "credential": "/nowhere",
        "disclosure": "/nowhere",
        "predictions": "/nowhere.csv",
        "ownership_verification": {"roots": ["/nowhere.pem"]},
    }
    with redirected(copied), pytest.raises(RunRefusedError) as refusal:
        run("ownership_verification", **named)
    for words in (
        "/nowhere/credential.json",
        "suspect",
        "Parameter disclosure: there is no file /nowhere.",
        "Parameter predictions: there is no file /nowhere.csv.",
        "roots: there is no file /nowhere.pem.",
    ):
        assert words in refusal.value.message


def test_a_broken_suspect_ends_in_one_sentence(copied: Path) -> None:
    path = copied / "broken.safetensors"
    path.write_bytes(b"not a network at all")
    with redirected(copied), pytest.raises(RunFailedError, match="the suspect cannot be read"):
        run("ownership_verification", suspect=str(path))


def test_a_changed_release_ends_in_one_sentence(copied: Path) -> None:
    path = copied / RELEASE / "ticket.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with redirected(copied), pytest.raises(RunFailedError, match=r"ticket\.safetensors"):
        run("ownership_verification")


def test_signing_again_keeps_the_commitment_and_its_dates(copied: Path) -> None:
    path = copied / "data/06_models/test/base/signature_embedding/commitment.json"
    before = path.read_bytes()
    with redirected(copied):
        run("signature_embedding")
    assert path.read_bytes() == before
    assert verify(copied)["verdict"] == "owned"


def test_the_key_is_private_and_none_of_it_is_in_any_other_file(signed: Path) -> None:
    path = signed / "owner_key.json"
    assert path.stat().st_mode & 0o777 == 0o600
    key = read_key_file(path)
    private = key.private_key.private_bytes_raw()
    secrets = [form for secret in (key.secret, private) for form in (secret, secret.hex().encode())]
    for file in signed.rglob("*"):
        if file.is_file() and file != path:
            content = file.read_bytes()
            assert not any(secret in content for secret in secrets), file


@pytest.mark.parametrize(
    "pipelines", [("cts", "signature_embedding"), ("signature_embedding", "ownership_verification")]
)
def test_a_run_that_would_read_what_it_is_about_to_replace_is_refused(
    copied: Path, pipelines: tuple[str, str]
) -> None:
    with (
        redirected(copied),
        pytest.raises(RunRefusedError, match="run the two pipelines one after the other"),
    ):
        run(*pipelines)


def test_tickets_without_room_are_refused_before_anything_is_computed(copied: Path) -> None:
    with redirected(copied), pytest.raises(RunRefusedError, match="no room for a mark"):
        run("signature_embedding", ticket="layer")


def test_attacks_run_on_the_signed_ticket_and_an_attack_that_cannot_is_refused(copied: Path) -> None:
    with redirected(copied):
        run("ownership_attacks", ownership_attacks={"attacks": ["A0", "A14", "A20"]})
    table = pd.read_csv(copied / "data/08_reporting/test/base/attacks.csv")
    assert set(table["attack"]) == {"A0", "A14", "A20"}
    assert table[table["attack"] == "A14"]["detected"].all()
    assert not table[table["attack"] == "A20"]["detected"].any()
    with redirected(copied), pytest.raises(RunRefusedError, match="attack A4 needs a second data set"):
        run("ownership_attacks", ownership_attacks={"attacks": ["A4"]})


def permuted(ticket: Ticket) -> dict[str, torch.Tensor]:
    """LeNet with its hidden neurons in another order, and scaled."""
    state = {name: tensor.clone() for name, tensor in ticket.state.items()}
    layers = [name.removesuffix(".weight") for name in ticket.masks]
    for number, (writer, reader) in enumerate(pairwise(layers)):
        generator = torch.Generator().manual_seed(number)
        order = torch.randperm(len(state[f"{writer}.weight"]), generator=generator)
        scale = 0.1 + torch.rand(len(order), generator=generator)
        state[f"{writer}.weight"] = state[f"{writer}.weight"][order] * scale[:, None]
        state[f"{writer}.bias"] = state[f"{writer}.bias"][order] * scale
        state[f"{reader}.weight"] = state[f"{reader}.weight"][:, order] / scale
    return state
