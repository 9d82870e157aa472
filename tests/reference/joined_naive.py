"""Naive twin of version 2 of a ticket's file: every tensor of the model cut out of the joined ones."""

import math
import os
from typing import Any

import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from tests.reference.rice_naive import decode_naive, to_bytes

OWN_MODEL = "tests.own_model:build"
TYPES = {"F32": "float32", "F64": "float64", "I64": "int64", "BF16": "bfloat16", "F16": "float16"}
BYTES = {"F32": 4, "F64": 8, "I64": 8, "BF16": 2, "F16": 2}
LETTERS = {"b": "BF16", "h": "F16"}
Table = dict[str, Any]
Content = dict[str, bytes]


def shorten_naive(header: dict[str, Any]) -> dict[str, Any]:
    """Write layers as rows that name only what is new; a header that lies about its layers stays as it is."""
    rows, before = [], ""
    try:
        for layer in header["layers"]:
            shared = len(os.path.commonprefix([before, layer["name"]]))  # noqa: RUF071 (it is no path)
            rows.append([shared, layer["name"][shared:], layer["shape"], layer["kept"]])
            before = layer["name"]
    except (TypeError, KeyError):
        return header
    return {**header, "layers": rows}


def lengthen_naive(header: dict[str, Any]) -> dict[str, Any]:
    """Undo ``shorten_naive``."""
    layers, before = [], ""
    for shared, rest, shape, kept in header["layers"]:
        before = before[:shared] + rest
        layers.append({"name": before, "shape": shape, "kept": kept})
    return {**header, "layers": layers}


def separate_naive(header: dict[str, Any], table: Table, content: Content) -> tuple[Table, Content] | None:
    """Return the tensors as version 1 has them, None if they cannot be told apart."""
    try:
        return _separate(header, table, content)
    except Exception:  # any lie may be in these files; then no fingerprint is right
        return None


def _separate(header: dict[str, Any], table: Table, content: Content) -> tuple[Table, Content]:
    spec = ModelSpec.model_validate(header["spec"])
    factory = OWN_MODEL if spec.name == OWN_MODEL else None
    state = build_model(spec, seed=0, device="meta", allow_factory=factory).state_dict()
    kept = {layer["name"]: layer["kept"] for layer in header["layers"]}
    if any(list(state[layer["name"]].shape) != layer["shape"] for layer in header["layers"]):
        raise ValueError("layers of another model")
    if header["prunable"] > 10**6:
        raise ValueError("too many weights to loop over")
    names = sorted(state)
    halves = header.get("halves", "." * len(names))
    own = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
    found: tuple[Table, Content] = ({}, {})

    def add(name: str, dtype: str, shape: list[int], piece: bytes) -> None:
        found[0][name] = {"dtype": dtype, "shape": shape}
        found[1][name] = piece

    places: dict[str, int] = {}
    for name, letter in zip(names, halves, strict=True):
        dtype = LETTERS.get(letter) or own[state[name].dtype]
        part = "kept" if name in kept else "state"
        group = f"{part}/{TYPES[dtype]}"
        shape = [kept[name]] if name in kept else list(state[name].shape)
        size = math.prod(shape) * BYTES[dtype]
        begin = places.get(group, 0)
        places[group] = begin + size
        add(f"{part}/{name}", dtype, shape, content.get(group, b"")[begin : begin + size])
    codes = content.get("masks", b"")
    for layer in sorted(header["layers"], key=lambda layer: layer["name"]):
        mask, used = decode_naive(codes, math.prod(layer["shape"]), layer["kept"])
        codes = codes[used:]
        bits = to_bytes("".join("01"[bit] for bit in mask))
        add(f"mask/{layer['name']}", "U8", [len(bits)], bits)
    return found
