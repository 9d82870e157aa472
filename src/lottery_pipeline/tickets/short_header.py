"""The header as version 2 writes it: names of layers without what they share with the one before.

A layer is ``[shared, rest, shape, kept]``: its name begins with the first ``shared`` characters of the name
before it and ends with ``rest``. The header stays readable without the model, which may be code of a user.
"""

from typing import Any

from lottery_pipeline.tickets.errors import TicketError

MAX_LAYERS = 2**13  # a ResNet-152 has 155
NAME_LENGTH = 256  # as in the long header; names cannot grow from row to row without end


def shorten_header(header: dict[str, Any], halves: str) -> dict[str, Any]:
    """Return the header as version 2 writes it.

    Args:
        header: plain JSON values of a ``TicketHeader``.
        halves: which tensors are 16-bit floats (see ``joined_layout``); left out if empty.

    Raises:
        TicketError: there are more layers than a reader takes.
    """
    if len(header["layers"]) > MAX_LAYERS:
        raise TicketError(f"the model has more than {MAX_LAYERS} prunable layers")
    rows, before = [], ""
    for layer in header["layers"]:
        shared = _count_shared(before, layer["name"])
        rows.append([shared, layer["name"][shared:], layer["shape"], layer["kept"]])
        before = layer["name"]
    return {**header, "layers": rows, **({"halves": halves} if halves else {})}


def lengthen_header(header: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a ``TicketHeader``, still to be validated, without ``halves``.

    Raises:
        TicketError: the layers are not as ``shorten_header`` writes them.
    """
    rows = header.get("layers")
    if not isinstance(rows, list) or len(rows) > MAX_LAYERS:
        raise TicketError(f"its header is wrong: its layers are not a list of at most {MAX_LAYERS}")
    layers, before = [], ""
    for row in rows:
        before = _read_name(row, before)
        layers.append({"name": before, "shape": row[2], "kept": row[3]})
    return {name: value for name, value in header.items() if name != "halves"} | {"layers": layers}


def _read_name(row: object, before: str) -> str:
    if not isinstance(row, list) or len(row) != 4 or type(row[0]) is not int or not isinstance(row[1], str):
        raise TicketError("its header is wrong: a layer is not [shared, rest, shape, kept]")
    shared, rest = row[:2]
    if shared + len(rest) > NAME_LENGTH:
        raise TicketError(f"its header is wrong: the name of a layer is longer than {NAME_LENGTH} characters")
    if not 0 <= shared <= len(before):
        raise TicketError(
            f"its header is wrong: a layer does not share 0 to {len(before)} characters with the one before"
        )
    name = before[:shared] + rest
    if _count_shared(before, name) != shared:
        raise TicketError(f"its header is wrong: the name of layer {name!a} is not written in one way only")
    return name


def _count_shared(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
