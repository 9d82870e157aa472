"""Anybody's safetensors files; those of our own formats are tested with tickets and ladders."""

import pytest
import safetensors.torch
import torch

from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.tensor_file import DTYPES, open_tensor_file
from lottery_pipeline.tickets.ticket import TICKET_KEY
from tests.tickets.hostile import frame, frame_text
from tests.tiny import draw_ticket

TENSORS = {
    "a.weight": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(3),
    "nothing": torch.zeros(0, 4),
}


def save(path, tensors=TENSORS, metadata=None):
    safetensors.torch.save_file(tensors, path, metadata=metadata)
    return path


def test_any_safetensors_file_is_read_tensor_by_tensor(tmp_path):
    with open_tensor_file(save(tmp_path / "file"), key=None) as file:
        assert set(file.entries) == set(TENSORS)
        assert file.entries["a.weight"].shape == (2, 3)
        assert file.entries["a.weight"].dtype == torch.float32
        for name, tensor in TENSORS.items():
            assert torch.equal(file.read(name), tensor)
        assert torch.equal(torch.cat(list(file.chunks("a.weight"))), TENSORS["a.weight"].flatten())
        assert file.record == {}


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_every_known_type_is_read(dtype, tmp_path):
    tensor = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    with open_tensor_file(save(tmp_path / "file", {"x": tensor}), key=None) as file:
        assert torch.equal(file.read("x"), tensor)


@pytest.mark.parametrize(
    ("metadata", "keys"),
    [(None, set()), ({"format": "pt"}, {"format"}), ({"format": "pt", "by": "somebody"}, {"format", "by"})],
)
def test_the_keys_of_the_metadata_are_known_and_their_values_ignored(metadata, keys, tmp_path):
    with open_tensor_file(save(tmp_path / "file", metadata=metadata), key=None) as file:
        assert file.metadata == keys


@pytest.mark.parametrize("metadata", [[1], "text", 3, None, {"nested": {"a": [1]}}])
def test_metadata_of_any_kind_do_no_harm(metadata, tmp_path):
    row = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}
    (tmp_path / "file").write_bytes(frame({"__metadata__": metadata, "x": row}, b"\x01\x02"))
    with open_tensor_file(tmp_path / "file", key=None) as file:
        assert file.read("x").tolist() == [1, 2]
        assert file.metadata == (set(metadata) if isinstance(metadata, dict) else set())


def test_a_ticket_is_known_by_its_metadata(tmp_path):
    ticket = draw_ticket()
    ticket.save(tmp_path / "ticket")
    with open_tensor_file(tmp_path / "ticket", key=None) as file:
        assert file.metadata == {TICKET_KEY}
        assert file.record == {}
        assert set(file.entries) == {"kept/float32", "masks", "state/float32"}


def test_without_a_key_a_file_of_strangers_is_refused_where_a_format_is_asked_for(tmp_path):
    save(tmp_path / "file", metadata={"format": "pt"})
    with (
        pytest.raises(TicketError, match=r"is not a lottery_pipeline\.ticket file"),
        open_tensor_file(tmp_path / "file", key=TICKET_KEY),
    ):
        pass


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes, too few"),
        (b"\x80\x02}q\x00." * 10, "it declares a table of"),
        (frame_text(b"{" * 50, b""), "its table is not valid JSON"),
        (frame([], b""), "its table is not a JSON object"),
        (frame({"x": {**ROW, "data_offsets": [0, 4]}}, bytes(4)), "does not fit its 4 bytes"),
        (frame({"x": ROW}, bytes(12)), "its tensors end at byte"),
        (frame({"x": ROW, "y": ROW}, bytes(8)), "overlaps another or leaves a gap"),
        (frame({"x": {**ROW, "shape": [10**9, 10**9]}}, bytes(8)), "the shape of tensor x does not fit"),
        (frame({"x": {**ROW, "shape": [2**31]}}, bytes(8)), "tensor x has a bad shape"),
        (frame({"x": {**ROW, "dtype": "F4"}}, bytes(8)), "tensor x has an unknown dtype; allowed are BOOL,"),
        (frame({"x\n": ROW}, bytes(8)), "has a name that is not 1 to 256 printable ASCII characters"),
    ],
)
def test_every_size_is_checked_without_a_key_too(content, words, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(TicketError, match=words) as error, open_tensor_file(tmp_path / "file", key=None):
        pass
    assert str(error.value).startswith(f"cannot use {tmp_path / 'file'}: ")
    assert "\n" not in str(error.value)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path):
    path = save(tmp_path / "file", {"x": torch.zeros(2**18)})

    def shrink_and_read():
        with open_tensor_file(path, key=None) as file:
            with path.open("r+b") as stream:
                stream.truncate(2**19)
            file.read("x")

    with pytest.raises(TicketError, match="became shorter"):
        shrink_and_read()
