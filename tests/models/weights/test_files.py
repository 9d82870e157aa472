import os
import struct
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lottery_pipeline.models.weights.choice import MisfitError, WeightsError
from lottery_pipeline.models.weights.files import open_weights
from tests.models.weights.nets import draw

MOST = 2**20
STATE = draw().state_dict()


def refusal(path: Path, most: int = MOST) -> str:
    with pytest.raises(WeightsError) as caught, open_weights(path, most=most):
        pass
    words = str(caught.value)
    assert words.startswith(f"cannot use {path}: ")
    assert "\n" not in words
    return words.removeprefix(f"cannot use {path}: ")


def same(path: Path) -> bool:
    with open_weights(path, most=MOST) as found:
        return {name: t.tolist() for name, t in found.items()} == {
            name: t.tolist() for name, t in STATE.items()
        }


@pytest.mark.parametrize(
    "wrap", [(), ("state_dict",), ("model",), ("model_state_dict",), ("net",), ("model", "state_dict")]
)
def test_a_state_dict_is_found_where_scripts_put_it(tmp_path: Path, wrap: tuple[str, ...]) -> None:
    content: object = STATE
    for key in reversed(wrap):
        content = {key: content, "epoch": 3, "best": 0.5}
    torch.save(content, tmp_path / "w.pt")
    assert same(tmp_path / "w.pt")


def test_the_content_tells_the_format_and_not_the_name(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.pt")
    assert same(tmp_path / "w.pt")
    torch.save(STATE, tmp_path / "weights")
    assert same(tmp_path / "weights")
    torch.save(STATE, tmp_path / "w.safetensors")
    assert refusal(tmp_path / "w.safetensors").endswith("rename it to .pt")


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    for content, words in (
        ([1, 2], "it holds no state dict, but a list"),
        (torch.zeros(3), "it holds no state dict, but a Tensor"),
        (
            {"epoch": 3},
            "it holds no tensors by name, also not under state_dict, model_state_dict, model, net",
        ),
    ):
        torch.save(content, tmp_path / "w.pt")
        assert refusal(tmp_path / "w.pt") == words


def test_a_file_that_is_not_there_a_folder_a_pipe_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.pt") == "it cannot be read (No such file or directory)"
    assert refusal(tmp_path) == "it is a folder, not a file"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "it cannot be read (it is not a regular file)"
    (tmp_path / "empty.pt").touch()
    assert refusal(tmp_path / "empty.pt") == "it is empty"


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "w.pt").open("wb") as file:
        file.truncate(2**40)
    assert refusal(tmp_path / "w.pt").startswith("it has 1,099,511,627,776 bytes, too many for this network")


@pytest.mark.parametrize("length", [2**63, 2**40, 9 * 2**20])
def test_a_huge_header_is_not_believed(tmp_path: Path, length: int) -> None:
    (tmp_path / "w").write_bytes(struct.pack("<Q", length) + b"{" + b" " * 1000)
    assert refusal(tmp_path / "w").startswith(f"it says that its header has {length} bytes")


def test_a_truncated_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w")
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-4])
    assert refusal(tmp_path / "w") == "it is cut off or damaged, or it is not a safetensors file"


@given(st.binary(min_size=1, max_size=300) | st.binary(max_size=200).map(lambda rest: b"PK\x03\x04" + rest))
@settings(max_examples=60)
def test_any_bytes_are_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any bytes"
    path.write_bytes(content)
    assert "\n" not in refusal(path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pt")
    opened = open_weights(tmp_path / "w.pt", most=MOST)
    opened.__enter__()
    time.sleep(0.02)
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="has changed while it was read"):
        opened.__exit__(None, None, None)


def test_an_error_in_the_block_keeps_its_kind_and_names_the_file(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pt")
    with (
        pytest.raises(MisfitError, match=r"cannot use .*w\.pt: x"),
        open_weights(tmp_path / "w.pt", most=MOST),
    ):
        raise MisfitError("x")
