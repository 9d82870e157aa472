"""Lies about the tensors and the layers of a version-2 file that leave every sum right."""

from collections.abc import Callable
from typing import Any

from tests.reference.joined_naive import shorten_naive
from tests.tickets.hostile import Parts

Lie = Callable[[Parts], None]


def _edit(name: str, change: Callable[[bytes], bytes], dtype: str | None = None) -> Lie:
    """Change the bytes of a tensor, and its length with them."""
    sizes = {"U8": 1, "I8": 1, "BOOL": 1, "F16": 2, "F32": 4, "I32": 4}

    def apply(parts: Parts) -> None:
        row = parts.table[name]
        row["dtype"] = dtype or row["dtype"]
        parts.content[name] = change(parts.content[name])
        row["shape"] = [len(parts.content[name]) // sizes[row["dtype"]]]

    return apply


def _same(content: bytes) -> bytes:
    return content


def _put(pattern: bytes) -> Callable[[bytes], bytes]:
    return lambda content: pattern + content[len(pattern) :]


def _end(pattern: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content[: -len(pattern)] + pattern


def _move_bit(content: bytes) -> bytes:
    """Clear the last bit that is set and set the very last one, a spare one: the number stays the same."""
    value = int.from_bytes(content, "big")
    return ((value & (value - 1)) | 1).to_bytes(len(content), "big")


def _drop(name: str) -> Lie:
    def apply(parts: Parts) -> None:
        del parts.table[name], parts.content[name]

    return apply


def _add(name: str, dtype: str, content: bytes, shape: list[int]) -> Lie:
    def apply(parts: Parts) -> None:
        parts.table[name] = {"dtype": dtype, "shape": shape}
        parts.content[name] = content

    return apply


def _reshape(name: str) -> Lie:
    def apply(parts: Parts) -> None:
        parts.table[name]["shape"] = [1, *parts.table[name]["shape"]]

    return apply


def _rename(old: str, new: str) -> Lie:
    def apply(parts: Parts) -> None:
        parts.table[new], parts.content[new] = parts.table.pop(old), parts.content.pop(old)

    return apply


def _shift_counts(parts: Parts) -> None:
    """One layer keeps one weight more, another one less: all sums agree, the masks do not."""
    parts.header["layers"][0]["kept"] += 1
    parts.header["layers"][1]["kept"] -= 1


def _halves(value: object) -> Lie:
    def apply(parts: Parts) -> None:
        parts.header["halves"] = value

    return apply


def _rows(change: Callable[[list[Any]], object]) -> Lie:
    """Write the layers in the short form and change them; a short form is not shortened again."""

    def apply(parts: Parts) -> None:
        parts.header["layers"] = change(shorten_naive(parts.header)["layers"])

    return apply


def _row(place: int, value: object) -> Lie:
    def change(rows: list[Any]) -> object:
        rows[0][place] = value
        return rows

    return _rows(change)


def _many_rows(count: int) -> list[Any]:
    layers = [{"name": str(place), "shape": [1], "kept": 1} for place in range(count)]
    return list(shorten_naive({"layers": layers})["layers"])


# The model has three layers and three biases, so halves have six letters.
JOINED_LIES: dict[str, Lie] = {
    "masks one byte short": _edit("masks", lambda content: content[:-1]),
    "masks one byte long": _edit("masks", lambda content: content + b"\0"),
    "masks a thousand bytes long": _edit("masks", lambda content: content + bytes(1000)),
    "masks of no bytes": _edit("masks", lambda _content: b""),
    "no masks": _drop("masks"),
    "masks of zeros": _edit("masks", lambda content: bytes(len(content))),
    "masks of ones": _edit("masks", lambda content: b"\xff" * len(content)),
    "masks that begin with another": _edit("masks", lambda content: content[1:] + content[:1]),
    "masks of 16-bit floats": _edit("masks", _same, "F16"),
    "masks of signed numbers": _edit("masks", _same, "I8"),
    "masks in a table": _reshape("masks"),
    "masks of another name": _rename("masks", "mask/network.fc.weight"),
    "bits beyond the end of a mask": _edit("masks", _move_bit),
    "a count that moved between layers": _shift_counts,
    "integer weights": _edit("kept/float32", _same, "I32"),
    "weights of another type than their name": _rename("kept/float32", "kept/bfloat16"),
    "weights in a table": _reshape("kept/float32"),
    "weights one short": _edit("kept/float32", lambda content: content[:-4]),
    "weights one long": _edit("kept/float32", lambda content: content + bytes(4)),
    "a NaN weight": _edit("kept/float32", _put(b"\x00\x00\xc0\x7f")),
    "an infinite weight": _edit("kept/float32", _end(b"\x00\x00\x80\x7f")),
    "a NaN bias": _edit("state/float32", _put(b"\x00\x00\xc0\xff")),
    "an infinite bias": _edit("state/float32", _end(b"\x00\x00\x80\xff")),
    "boolean biases": _edit("state/float32", _same, "BOOL"),
    "biases one short": _edit("state/float32", lambda content: content[4:]),
    "no biases": _drop("state/float32"),
    "a tensor too many": _add("state/backdoor", "F32", bytes(8), [2]),
    "an empty tensor too many": _add("state/int64", "I64", b"", [0]),
    "a tensor of version 1": _add("state/network.fc.bias", "F32", bytes(12), [3]),
    "halves of one letter": _halves("b"),
    "halves of a million letters": _halves("." * 10**6),
    "halves that are none": _halves("." * 6),
    "halves of nothing": _halves(""),
    "halves that are a list": _halves(["b"] * 6),
    "halves of an unknown letter": _halves(".x...."),
    "halves that are not there": _halves("b....."),
    "layers in the long form": lambda parts: parts.header.update(layers=[*parts.header["layers"], 0]),
    "layers that share nothing": _rows(lambda rows: [[0, "network.fc1.weight", *row[2:]] for row in rows]),
    "layers that share more than there is": _row(0, 1),
    "layers that share less than nothing": _row(0, -1),
    "layers that share a number of 4,000 digits": _row(0, -(10**4000)),
    "layers that share a truth": _row(0, False),
    "layers that share a fraction": _row(0, 0.0),
    "a layer without a count": _rows(lambda rows: [row[:3] for row in rows]),
    "a layer with a price": _rows(lambda rows: [[*row, 1] for row in rows]),
    "a layer whose name is a number": _row(1, 7),
    "a layer whose shape is text": _row(2, "300x9"),
    "a layer whose count is text": _row(3, "5"),
    "a layer whose name is long": _row(1, "a" * 257),
    "layers whose names grow": _rows(lambda _rows: [[20 * n, "a" * 20, [1], 1] for n in range(8_000)]),
    "eight thousand layers": _rows(lambda _rows: _many_rows(8_000)),
    "twenty thousand layers": _rows(lambda _rows: _many_rows(20_000)),
    "layers that are text": _rows(lambda _rows: "layers"),
}
