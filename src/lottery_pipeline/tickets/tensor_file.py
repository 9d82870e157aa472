"""Safetensors files from strangers: every size is checked against the file before a tensor is allocated.

The container is the safetensors format: eight bytes with the little-endian length of a JSON table, the table,
then the bytes of the tensors. Our own JSON record is one string under one key of its ``__metadata__``. (With
several keys, the library would write them in random order, and equal tickets would give different files.)
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch
from torch import Tensor

from lottery_pipeline.reproducibility.files import stat_regular
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.tickets.errors import TicketError

MAX_TABLE_BYTES = 2 * 2**20  # a ResNet-110 needs 0.1 MiB; parsing costs memory in proportion
MAX_DIMENSIONS = 8
MAX_ELEMENTS = 2**30  # per tensor
CHUNK_BYTES = 2**20  # a multiple of every item size
NAME = re.compile(r"[!-~]{1,256}")
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
}


@dataclass(frozen=True)
class Entry:
    """Where one tensor is in the file: dtype, shape and byte range."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """An open file whose table has been checked; made by ``open_tensor_file``."""

    def __init__(
        self,
        stream: BufferedReader,
        entries: dict[str, Entry],
        record: dict[str, Any],
        metadata: frozenset[str] = frozenset(),
    ) -> None:
        self._stream = stream
        self.entries = entries
        self.record = record
        self.metadata = metadata  # its keys

    def with_entries(self, entries: dict[str, Entry]) -> "TensorFile":
        """Return the same open file with tensors of other names, which lie within its own."""
        return TensorFile(self._stream, entries, self.record, self.metadata)

    def read(self, name: str) -> Tensor:
        """Read one tensor."""
        entry = self.entries[name]
        return self._read(entry.begin, entry.end, entry.dtype).reshape(entry.shape)

    def read_range(self, begin: int, end: int) -> Tensor:
        """Read bytes, uint8 [end - begin]; both places are counted from the start of the file."""
        return self._read(begin, end, torch.uint8)

    def chunks(self, name: str) -> Iterator[Tensor]:
        """Read one tensor in flat pieces, so that it can be checked before it is allocated."""
        entry = self.entries[name]
        for content in self._raw_chunks(entry):
            if entry.dtype == torch.bool and content.translate(None, b"\x00\x01"):
                raise TicketError(f"tensor {name} holds a boolean that is neither 0 nor 1")
            yield torch.frombuffer(content, dtype=entry.dtype)

    def check_content(self) -> str:
        """Compare the header and the tensors with the SHA-256 stored beside them, in constant memory.

        This finds damage, not forgery: whoever writes a file can write a matching checksum.

        Returns:
            ``fingerprint_tensors`` of the tensors.
        """
        digest = hashlib.sha256()
        for name in sorted(self.entries):
            self.add_to(digest, name)
        if _checksum(self.record["header"], digest.hexdigest()) != self.record["sha256"]:
            raise TicketError("its content does not agree with its SHA-256 sum, so it is damaged")
        return digest.hexdigest()

    def add_to(self, digest: "hashlib._Hash", name: str) -> None:
        """Add one tensor to a sum in constant memory, as ``fingerprint_tensors`` does."""
        entry = self.entries[name]
        digest.update(f"{name}|{entry.dtype}|{entry.shape}|".encode())
        for content in self._raw_chunks(entry):
            digest.update(content)

    def _read(self, begin: int, end: int, dtype: torch.dtype) -> Tensor:
        if begin == end:
            return torch.empty(0, dtype=dtype)
        content = bytearray(end - begin)
        self._stream.seek(begin)
        if self._stream.readinto(content) != len(content):
            raise TicketError("the file became shorter while it was read")
        return torch.frombuffer(content, dtype=dtype)

    def _raw_chunks(self, entry: Entry) -> Iterator[bytearray]:
        for start in range(entry.begin, entry.end, CHUNK_BYTES):
            content = bytearray(min(CHUNK_BYTES, entry.end - start))
            self._stream.seek(start)
            if self._stream.readinto(content) != len(content):
                raise TicketError("the file became shorter while it was read")
            yield content


def tensor_file_bytes(tensors: Mapping[str, Tensor], header: dict[str, Any], *, key: str) -> bytes:
    """Serialise tensors and a JSON header into one safetensors file with a checksum.

    Args:
        tensors: contiguous CPU tensors by name.
        header: plain JSON values.
        key: name of the format, the only key of the safetensors metadata.

    Raises:
        TicketError: the table is too large to be read back.
    """
    record = {"header": header, "sha256": _checksum(header, fingerprint_tensors(tensors))}
    content = safetensors.torch.save(dict(tensors), metadata={key: canonical(record)})
    if int.from_bytes(content[:8], "little") > MAX_TABLE_BYTES:
        raise TicketError(f"the model has too many tensors for a table of {MAX_TABLE_BYTES} bytes")
    return content


@contextmanager
def open_tensor_file(path: str | Path, *, key: str | None) -> Iterator[TensorFile]:
    """Open a file and check its table; every TicketError raised in the block names the file.

    Args:
        path: the file.
        key: name of the format. None opens anybody's safetensors file; its metadata are ignored.

    Raises:
        TicketError: the file is missing, unreadable, not a safetensors file of format ``key``, or gives false
            sizes.
    """
    path = Path(path)
    try:
        stat_regular(path)
        with path.open("rb") as stream:
            yield _read_table(stream, os.fstat(stream.fileno()).st_size, key)
    except TicketError as error:
        raise TicketError(f"cannot use {path}: {error}") from error
    except OSError as error:
        raise TicketError(f"cannot use {path}: it cannot be read ({error.strerror or error})") from error


def _read_table(stream: BufferedReader, size: int, key: str | None) -> TensorFile:
    if size < 10:
        raise TicketError(f"it has {size} bytes, too few for a safetensors file")
    length = int.from_bytes(stream.read(8), "little")
    if length > min(size - 8, MAX_TABLE_BYTES):
        raise TicketError(
            f"it declares a table of {length} bytes, but may hold at most {min(size - 8, MAX_TABLE_BYTES)}"
        )
    table = _parse(stream.read(length), "table")
    metadata = table.pop("__metadata__", None)
    if key is None:
        keys = frozenset(metadata) if isinstance(metadata, dict) else frozenset()
        return TensorFile(stream, _check_entries(table, start=8 + length, size=size), {}, keys)
    if not isinstance(metadata, dict) or set(metadata) != {key} or not isinstance(metadata[key], str):
        raise TicketError(f"it is not a {key} file")
    entries = _check_entries(table, start=8 + length, size=size)
    record = _parse(metadata[key].encode(errors="surrogatepass"), "header")
    if set(record) != {"header", "sha256"} or not isinstance(record["header"], dict):
        raise TicketError("its header must hold exactly header and sha256")
    if canonical(record) != metadata[key]:
        raise TicketError("its header is not in canonical JSON")
    return TensorFile(stream, entries, record)


def _check_entries(table: dict[str, Any], *, start: int, size: int) -> dict[str, Entry]:
    entries = {}
    for name, row in table.items():
        if not NAME.fullmatch(name):
            raise TicketError("a tensor has a name that is not 1 to 256 printable ASCII characters")
        if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
            raise TicketError(f"tensor {name} must have exactly dtype, shape and data_offsets")
        dtype = DTYPES.get(row["dtype"]) if isinstance(row["dtype"], str) else None
        if dtype is None:
            raise TicketError(f"tensor {name} has an unknown dtype; allowed are {', '.join(DTYPES)}")
        shape, offsets = row["shape"], row["data_offsets"]
        if not _are_sizes(shape, MAX_ELEMENTS) or len(shape) > MAX_DIMENSIONS:
            raise TicketError(f"tensor {name} has a bad shape")
        if not _are_sizes(offsets, size) or len(offsets) != 2:
            raise TicketError(f"tensor {name} has offsets outside the file")
        if math.prod(shape) > MAX_ELEMENTS or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
            raise TicketError(f"the shape of tensor {name} does not fit its {offsets[1] - offsets[0]} bytes")
        entries[name] = Entry(dtype, tuple(shape), start + offsets[0], start + offsets[1])
    position = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            raise TicketError(f"tensor {name} overlaps another or leaves a gap")
        position = entry.end
    if position != size:
        raise TicketError(f"its tensors end at byte {position}, but the file has {size} bytes")
    return entries


def _are_sizes(values: object, limit: int) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= limit for value in values)


def _parse(content: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise TicketError(f"its {what} is not valid JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise TicketError(f"its {what} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key appears twice")
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def canonical(record: dict[str, Any]) -> str:
    """Return the one JSON text of a record: keys sorted, no blanks, finite numbers only."""
    try:
        return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise TicketError("its header holds a number that is not finite") from error


def _checksum(header: dict[str, Any], content: str) -> str:
    return fingerprint({"header": header, "tensors": content})
