"""Ticket files as somebody might forge or break them, made from a sound one."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.tickets.header import TICKET_KEY, identify
from lottery_pipeline.tickets.tensor_file import DTYPES, canonical
from tests.reference.joined_naive import lengthen_naive, separate_naive, shorten_naive


@dataclass
class Parts:
    """A ticket file taken apart: safetensors table, our header in the long form, bytes of each tensor."""

    table: dict[str, Any]
    header: dict[str, Any]
    content: dict[str, bytes]

    def rows(self, prefix: str) -> list[str]:
        return [name for name in self.table if name.startswith(prefix)]


def take_apart(file: bytes, *, key: str = TICKET_KEY) -> Parts:
    length = int.from_bytes(file[:8], "little")
    table = json.loads(file[8 : 8 + length])
    header = json.loads(table.pop("__metadata__")[key])["header"]
    if key == TICKET_KEY and header["format_version"] == 2:
        header = lengthen_naive(header)
    payload = file[8 + length :]
    content = {name: payload[slice(*row["data_offsets"])] for name, row in table.items()}
    return Parts(table, header, content)


def put_together(parts: Parts, *, lay_out: bool = True, key: str = TICKET_KEY) -> bytes:
    """Write the parts as a file whose sums are right, so that only deeper checks can find the fault."""
    if lay_out:
        position = 0
        for name, row in parts.table.items():
            row["data_offsets"] = [position, position + len(parts.content[name])]
            position += len(parts.content[name])
    stored = add_up(parts.table, parts.content)
    header = dict(parts.header)
    joined = key == TICKET_KEY and header.get("format_version") == 2
    if "fingerprint" in header:
        plain = {name: value for name, value in header.items() if name != "halves"}
        separate = separate_naive(header, parts.table, parts.content) if joined else None
        header["fingerprint"] = identify(plain, add_up(*separate) if separate else stored)
    if joined:
        header = shorten_naive(header)
    sums = fingerprint({"header": header, "tensors": stored})
    record = {"header": header, "sha256": sums}
    return frame({"__metadata__": {key: canonical(record)}, **parts.table}, b"".join(parts.content.values()))


def add_up(table: dict[str, Any], content: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(table):
        row = table[name]
        shape = tuple(row["shape"]) if isinstance(row["shape"], list) else ()
        digest.update(f"{name}|{DTYPES.get(str(row['dtype']))}|{shape}|".encode(errors="replace"))
        digest.update(content[name])
    return digest.hexdigest()


def frame(table: object, payload: bytes) -> bytes:
    return frame_text(json.dumps(table).encode(), payload)


def frame_text(text: bytes, payload: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + payload


def break_bytes(sound: bytes, length: int) -> Iterator[tuple[str, bytes]]:
    size = len(sound)
    places = [0, 3, 7, 8, 9, 30, 200, 8 + length // 2, 7 + length, 8 + length, 8 + length + 5]
    places += [size * part // 16 for part in range(1, 16)] + [size - 2, size - 1]
    for place in sorted(set(places)):
        broken = bytearray(sound)
        broken[place] ^= 1 << (place % 8)
        yield f"bit flipped at byte {place}", bytes(broken)
    for end in (0, 1, 7, 8, 9, 40, 7 + length, 8 + length, size // 2, size - 1):
        yield f"cut off at byte {end}", sound[:end]
    yield "appended bytes", sound + b"\0" * 16
    yield "another format", b"\x80\x02}q\x00." * 100
    yield "a zip file", b"PK\x03\x04" + bytes(500)


def lie_about_sizes(sound: bytes, length: int) -> Iterator[tuple[str, bytes]]:
    for lie in (2**64 - 1, 2**63, 2**40, len(sound), length + 1, length - 1, 0):
        yield f"a table of {lie} bytes declared", lie.to_bytes(8, "little") + sound[8:]
    yield "deeply nested JSON", frame_text(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"")
    yield "deeply nested lists", frame_text(b"[" * 1_000_000, b"")
    yield "two million bytes of small objects", frame_text(b"[" + b"{}," * 600_000 + b"{}]", b"")
    yield "a table that is no object", frame([1, 2, 3], b"")
    yield "a table that is no text", frame_text(b"\xff\xfe" * 50, b"")
    yield "an empty table", frame({}, b"")
    yield "no header", frame({"__metadata__": {}}, b"")
    yield "a header that is no JSON", frame({"__metadata__": {TICKET_KEY: "nonsense"}}, b"")
    yield "a header with NaN", frame({"__metadata__": {TICKET_KEY: '{"header":{"x":NaN},"sha256":""}'}}, b"")
    nested = '{"header":{"a":' + "[" * 50_000
    yield "a nested header", frame({"__metadata__": {TICKET_KEY: nested}}, b"")
    digits = '{"header":{"a":' + "9" * 100_000 + '},"sha256":""}'
    yield "a number of 100,000 digits", frame({"__metadata__": {TICKET_KEY: digits}}, b"")
    metadata = json.dumps({TICKET_KEY: json.loads(sound[8 : 8 + length])["__metadata__"][TICKET_KEY]})
    yield "a key twice", frame_text(f'{{"__metadata__":{metadata},"__metadata__":{metadata}}}'.encode(), b"")
    surrogate = json.dumps({"__metadata__": {TICKET_KEY: '{"header":{},"sha256":"\ud800"}'}})
    yield "a lone surrogate", frame_text(surrogate.encode(), b"")
    parts = take_apart(sound)
    yield "the key of another format", put_together(parts, key="lottery_pipeline.ladder")
