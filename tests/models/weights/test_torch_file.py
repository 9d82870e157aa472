"""Files that torch.save has written, and what pretends to be one."""

import codecs
import os
import pickle
import time
import zipfile
from pathlib import Path

import pytest
import torch

from lottery_pipeline.models.weights.choice import WeightsError
from lottery_pipeline.models.weights.torch_file import read_torch_file
from tests.models.weights.nets import draw


class Calls:
    """Unpickled, it calls a function."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def save(content, path: Path, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_torch_file(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_is_read(tmp_path: Path, legacy: bool) -> None:
    state = draw().state_dict()
    found = read_torch_file(save({"epoch": 3, "state_dict": state}, tmp_path / "w.pt", legacy=legacy))
    assert found["epoch"] == 3
    assert all(torch.equal(found["state_dict"][name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "mark"
    path = save(
        {"w": torch.zeros(1), "x": Calls(os.system, f"touch {mark}")}, tmp_path / "w.pt", legacy=legacy
    )
    assert "it holds more than tensors (posix.system)" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_module_is_refused_with_what_to_do(tmp_path: Path, legacy: bool) -> None:
    words = refusal(save(draw(), tmp_path / "w.pt", legacy=legacy))
    assert "tests.models.weights.nets.Net" in words
    assert words.endswith("save the state dict alone, with torch.save(model.state_dict(), path)")


@pytest.mark.parametrize("legacy", [False, True])
def test_what_would_double_a_text_without_end_is_not_called(tmp_path: Path, legacy: bool) -> None:
    bomb = b"x" * 1024
    for _ in range(40):  # 1 PiB; torch.load(weights_only=True) would call it
        bomb = Calls(codecs.encode, bomb, "hex")
    path = save({"w": bomb}, tmp_path / "w.pt", legacy=legacy)
    assert "_codecs.encode" in refusal(path)


def test_a_packed_archive_is_refused(tmp_path: Path) -> None:
    save(draw().state_dict(), tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as old,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            content = bytes(40_000_000) if entry.filename.endswith("data.pkl") else old.read(entry)
            new.writestr(entry.filename, content)
    assert (tmp_path / "bomb.pt").stat().st_size < 1_000_000
    assert "packed archive" in refusal(tmp_path / "bomb.pt")


def test_a_directory_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", b"")
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    long = content[content.index(b"PK\x01\x02") : end] * 90_000
    content[end + 12 : end + 16] = len(long).to_bytes(4, "little")
    path.write_bytes(content[: content.index(b"PK\x01\x02")] + long + content[end:])
    assert "directory of more than 4194304 bytes" in refusal(path)


def test_a_pickle_of_many_steps_is_refused_quickly(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02" + b"}" * 2_000_000 + b".")
    start = time.monotonic()
    assert "more than 524288 steps" in refusal(tmp_path / "w.pt")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("size", [10**12, 2**62])
def test_a_tensor_that_claims_more_than_the_file_has_takes_no_memory(tmp_path: Path, size: int) -> None:
    state = {"w": torch.zeros(3)}
    path = save(state, tmp_path / "w.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "claims.pt", "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                content = content.replace(b"K\x03", b"\x8a\x08" + size.to_bytes(8, "little"))
            new.writestr(entry.filename, content)
    assert "cut off or damaged" in refusal(tmp_path / "claims.pt")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float, legacy: bool) -> None:
    path = save(draw().state_dict(), tmp_path / "w.pt", legacy=legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "cut off or damaged" in refusal(path)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("letter.txt", b"hello")
    assert refusal(tmp_path / "w.zip") == "it is an archive that torch.save did not write"


def make_archive(contents: dict[str, bytes], path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path.read_bytes()


def read_archive(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_second_pickle_whose_name_torch_takes_for_the_same_is_refused(tmp_path: Path) -> None:
    contents = read_archive(save({"w": torch.zeros(1)}, tmp_path / "w.pt"))
    other = pickle.dumps({"w": Calls(codecs.encode, b"x", "hex")}, protocol=2)
    make_archive({"w/DATA.PKL": other, **contents}, tmp_path / "two.pt")
    assert refusal(tmp_path / "two.pt") == "it is an archive that torch.save did not write"


def test_a_second_directory_that_only_torch_would_find_is_refused(tmp_path: Path) -> None:
    contents = read_archive(save({"w": torch.zeros(1)}, tmp_path / "w.pt"))
    other = pickle.dumps({"w": Calls(codecs.encode, b"x", "hex")}, protocol=2)
    shown = make_archive(contents, tmp_path / "shown.pt")
    hidden = make_archive(contents | {"w/data.pkl": other}, tmp_path / "hidden.pt")
    start = hidden.index(b"PK\x01\x02")
    directory = bytearray(shown[shown.index(b"PK\x01\x02") : -22])
    room = bytes(len(shown))
    shift = len(hidden[:start]) + len(room) - len(shown[: -22 - len(directory)])
    place = directory.find(b"PK\x01\x02")
    while place >= 0:  # zipfile finds the files of this directory where it expects them
        old = int.from_bytes(directory[place + 42 : place + 46], "little")
        directory[place + 42 : place + 46] = (old + shift).to_bytes(4, "little")
        place = directory.find(b"PK\x01\x02", place + 1)
    end = bytearray(shown[-22:])
    end[16:20] = (start + len(room)).to_bytes(4, "little")  # of the hidden directory
    parts = hidden[:start], room, hidden[start:-22], shown[: -22 - len(directory)], directory, end
    (tmp_path / "two.pt").write_bytes(b"".join(parts))
    assert read_archive(tmp_path / "two.pt") == contents
    assert refusal(tmp_path / "two.pt") == "it is an archive that torch.save did not write"


def test_a_plain_pickle_behind_the_mark_is_refused(tmp_path: Path) -> None:
    path = save({}, tmp_path / "w.pt", legacy=True)
    path.write_bytes(path.read_bytes()[:15] + pickle.dumps(Calls(print, "x"), protocol=2))
    assert "it holds more than tensors (__builtin__.print)" in refusal(path)
