"""Suspects as somebody might forge or break them: safetensors files that are no network of the owner's."""

import json
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lottery_pipeline.tickets.tensor_file import DTYPES
from tests.tickets.hostile import frame, frame_text

TYPES = {dtype: name for name, dtype in DTYPES.items()}
SHAPES: dict[str, list[int]] = {
    "a number": [],
    "a vector": [4800],
    "three dimensions": [300, 16, 1],
    "a kernel": [300, 16, 3, 3],
    "no rows": [0, 16],
    "no columns": [300, 0],
    "1,000,000,000 rows of nothing": [10**9, 0],
    "nothing in 1,000,000,000 columns": [0, 10**9],
    "five times the rows": [1500, 16],
    "five times the columns": [300, 80],
    "eight dimensions": [2] * 8,
    "nine dimensions": [1] * 9,
}
CLAIMS: dict[str, Any] = {
    "10^9 rows": [10**9, 16],
    "2^30 rows": [2**30, 16],
    "2^62 rows": [2**62, 2],
    "negative rows": [-300, 16],
    "rows as text": ["300", 16],
    "half a row": [0.5, 16],
    "rows that are a truth": [True, 16],
    "a shape that is nothing": None,
    "a shape that is a dictionary": {"rows": 300},
    "one row too many": [301, 16],
    "one row too few": [299, 16],
    "1,000 dimensions": [1] * 1000,
}
OFFSETS: dict[str, Any] = {
    "beyond the file": [0, 2**50],
    "far beyond the file": [2**63, 2**63 + 19200],
    "negative": [-19200, 0],
    "the wrong way round": [19200, 0],
    "three": [0, 1, 2],
    "one": [0],
    "text": "0:19200",
    "fractions": [0.0, 19200.0],
    "nothing": None,
    "shifted by one": [1, 19201],
}


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> tuple[dict, bytes]:
    """Return the table and the content of a safetensors file."""
    table: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    content = b""
    for name, tensor in tensors.items():
        own = (
            tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            if tensor.numel()
            else b""
        )
        offsets = [len(content), len(content) + len(own)]
        table[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        content += own
    return table, content


def write(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    return frame(*pack(tensors, metadata))


def forge_suspects(sound: Mapping[str, Tensor], name: str) -> Iterator[tuple[str, bytes]]:
    """Yield (what is wrong, content); ``name`` is a weight of 300 x 16 in the sound state dict."""
    plain = write(sound)
    yield from _break(plain)
    for what, shape in SHAPES.items():
        yield f"a weight with {what}", write({**sound, name: torch.zeros(shape)})
    for what, claim in CLAIMS.items():
        yield f"a claim of {what}", _edit(sound, name, shape=claim)
    for what, offsets in OFFSETS.items():
        yield f"offsets that are {what}", _edit(sound, name, data_offsets=offsets)
    for what, dtype in {
        "unknown": "F7",
        "a list": ["F32"],
        "nothing": None,
        "64-bit": "F64",
        "half": "F16",
    }.items():
        yield f"a dtype that is {what}", _edit(sound, name, dtype=dtype)
    for value in ("nan", "inf", "-inf"):
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            weight = sound[name].to(dtype).clone()
            weight[7, 3] = float(value)
            yield f"{value} in {dtype}", write({**sound, name: weight})
    yield "1e300 in float64", write({**sound, name: sound[name].double() * 1e300 + 1e300})
    for missing in [key for key in sound if key.endswith("weight")]:
        yield f"no {missing}", write({key: t for key, t in sound.items() if key != missing})
    yield "no tensors", write({})
    yield "other names", write({f"encoder.{index}": t for index, t in enumerate(sound.values())})
    yield "almost the names", write({key.replace("weight", "weights"): t for key, t in sound.items()})
    yield "a name of control characters", write({**sound, "a\x00b\u202e": torch.zeros(2)})
    yield "a name of 300 letters", write({**sound, "a" * 300: torch.zeros(2)})
    yield "an empty name", write({**sound, "": torch.zeros(2)})
    yield "an extra key in a row", _edit(sound, name, compressed=True)
    yield "metadata of a ticket alone", write(sound, {"lottery_pipeline.ticket": "{}"})
    yield "metadata of a ticket and more", write(sound, {"lottery_pipeline.ticket": "{}", "format": "pt"})
    yield "metadata of a ticket in nested JSON", write(sound, {"lottery_pipeline.ticket": "[" * 50_000})
    yield "a key twice", _twice(sound, name)


def _edit(sound: Mapping[str, Tensor], name: str, **fields: Any) -> bytes:
    table, content = pack(sound)
    table[name] |= fields
    return frame(table, content)


def _twice(sound: Mapping[str, Tensor], name: str) -> bytes:
    table, content = pack(sound)
    text = json.dumps(table)
    return frame_text((text[:-1] + f', "{name}": {json.dumps(table[name])}}}').encode(), content)


def _break(plain: bytes) -> Iterator[tuple[str, bytes]]:
    table = 8 + int.from_bytes(plain[:8], "little")
    for end in (0, 1, 7, 8, 9, 60, table - 1, table, table + 100, len(plain) - 1):
        yield f"cut off at byte {end}", plain[:end]
    yield "appended bytes", plain + bytes(16)
    for length in (0, 5, table, 2**20 * 3, 2**40, 2**63, 2**64 - 1):
        yield f"a table of {length} bytes declared", length.to_bytes(8, "little") + plain[8:]
    yield "a pickle", pickle.dumps({"state": np.zeros(40)})
    yield "a zip file", b"PK\x03\x04" + bytes(500)
    yield "noise", bytes(range(256)) * 20
    yield "text", b"a checkpoint, I promise\n" * 20
    yield "deeply nested JSON", frame_text(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"")
    yield "deeply nested lists", frame_text(b"[" * 1_000_000, b"")
    yield "a table that is a list", frame([1, 2], b"")
    yield "a table that is no text", frame_text(b"\xff\xfe" * 50, b"")
    yield "rows that are lists", frame({"network.fc1.weight": [1, 2]}, b"")
    yield "a number of 100,000 digits", frame_text(b'{"a":' + b"9" * 100_000 + b"}", b"")
