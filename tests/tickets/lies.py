"""Lies about a ticket that leave every sum of its file right; those about tensors are of version 1."""

from collections.abc import Callable, Iterator
from typing import Any

from lottery_pipeline.tickets.tensor_file import DTYPES
from tests.tickets.hostile import Parts, break_bytes, lie_about_sizes, put_together, take_apart
from tests.tickets.joined_lies import JOINED_LIES


def _set(field: str, value: object) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.header[field] = value

    return change


def _set_spec(field: str, value: object) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.header["spec"][field] = value

    return change


def _set_layer(field: str, value: object) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.header["layers"][0][field] = value

    return change


def _drop(field: str) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        del parts.header[field]

    return change


def _declare_more_kept(parts: Parts) -> None:
    """Consistent in every sum, but the mask has fewer bits."""
    layer = parts.header["layers"][1]
    name = "kept/float32" if "masks" in parts.table else f"kept/{layer['name']}"
    layer["kept"] += 1
    parts.header["kept"] += 1
    parts.header["density"] = parts.header["kept"] / parts.header["prunable"]
    parts.table[name]["shape"][0] += 1
    parts.content[name] += bytes(4)


def _write_density_as_text(parts: Parts) -> None:
    parts.header["density"] = str(parts.header["density"])


def _reshape_layer(parts: Parts) -> None:
    layer = parts.header["layers"][0]
    layer["shape"] = [layer["shape"][0] * layer["shape"][1], 1]


def _grow_layer(parts: Parts) -> None:
    """A layer of 2**29 weights, declared with all sums right; the file has no bytes for it."""
    layer = parts.header["layers"][0]
    parts.header["prunable"] += 2**29 - layer["shape"][0] * layer["shape"][1]
    parts.header["density"] = parts.header["kept"] / parts.header["prunable"]
    layer["shape"] = [2**15, 2**14]


def _grow_image(parts: Parts) -> None:
    """A model of 1.2 thousand million weights in the first layer."""
    parts.header["spec"]["image_size"] = [2048, 2048]


HEADER_LIES: dict[str, Callable[[Parts], None]] = {
    "format version 3": _set("format_version", 3),
    "another format version": lambda parts: parts.header.update(
        format_version=3 - parts.header["format_version"]
    ),
    "format version true": _set("format_version", True),
    "format version of a hundred digits": _set("format_version", 10**100),
    "no format version": _drop("format_version"),
    "an unknown kind": _set("kind", "pickle"),
    "a method that is a path": _set("method", "../../etc/passwd"),
    "density 0": _set("density", 0.0),
    "density above 1": _set("density", 1.5),
    "density as text": _set("density", "0.2"),
    "the right density as text": _write_density_as_text,
    "density that is not kept / prunable": _set("density", 0.123),
    "nothing kept": _set("kept", 0),
    "negative kept": _set("kept", -1),
    "kept that is not the sum": _set("kept", 7),
    "prunable that is not the sum": _set("prunable", 10**9),
    "prunable of 2**62": _set("prunable", 2**62),
    "a negative rewind step": _set("rewind_step", -1),
    "no steps in an epoch": _set("steps_per_epoch", 0),
    "an epoch of true steps": _set("steps_per_epoch", True),
    "an unknown number of steps, written down": _set("steps_per_epoch", None),
    "a seed of 100 digits": _set("seed", 10**100),
    "an unknown field": _set("hook", "os.system"),
    "no spec": _drop("spec"),
    "no layers": _set("layers", []),
    "layers that are no list": _set("layers", {"a": 1}),
    "a parent that is no text": _set("parents", {"dense": 3}),
    "metrics that are no numbers": _set("metrics", {"a": "b"}),
    "an unknown model": _set_spec("name", "resnet21"),
    "another known model": _set_spec("name", "resnet20"),
    "a factory": _set_spec("name", "os:getcwd"),
    "a factory with arguments": _set_spec("name", "subprocess:run('true')"),
    "an unknown torchvision model": _set_spec("name", "torchvision:nonesuch"),
    "a torchvision helper": _set_spec("name", "torchvision:get_model"),
    "images of 10**9 pixels a side": _set_spec("image_size", [10**9, 10**9]),
    "10**9 classes": _set_spec("num_classes", 10**9),
    "100,000 classes": _set_spec("num_classes", 100_000),
    "no standard deviation": _set_spec("std", [0.0]),
    "ignored layers": _set_spec("ignore_layers", ["fc"]),
    "a pattern that matches nothing": _set_spec("ignore_layers", ["nonesuch"]),
    "a layer of 2**40 weights": _set_layer("shape", [2**20, 2**20]),
    "a layer of no weights": _set_layer("shape", [0, 3]),
    "a layer of 5,000 dimensions": _set_layer("shape", [1] * 5000),
    "a layer of another name": _set_layer("name", "network.fc9.weight"),
    "a layer with more kept than it has": _set_layer("kept", 10**8),
    "one more kept weight than bits": _declare_more_kept,
    "a layer of another shape": _reshape_layer,
    "a layer of 2**29 weights": _grow_layer,
    "a model of 10**9 weights": _grow_image,
}


def _edit(prefix: str, change: Callable[[dict[str, Any], bytes], bytes]) -> Callable[[Parts], None]:
    def apply(parts: Parts) -> None:
        name = parts.rows(prefix)[0]
        parts.content[name] = change(parts.table[name], parts.content[name])

    return apply


def _shorten_mask(row: dict[str, Any], content: bytes) -> bytes:
    row["shape"] = [len(content) - 1]
    return content[:-1]


def _retype(dtype: str) -> Callable[[dict[str, Any], bytes], bytes]:
    def change(row: dict[str, Any], content: bytes) -> bytes:
        row["dtype"] = dtype
        row["shape"] = [len(content) // DTYPES[dtype].itemsize]
        return content

    return change


def _write_at_start(pattern: bytes) -> Callable[[dict[str, Any], bytes], bytes]:
    return lambda _row, content: pattern + content[len(pattern) :]


def _set_spare_bits(parts: Parts) -> None:
    """Move the last kept bit of a mask behind its end: the number of bits stays the same."""
    for layer in parts.header["layers"]:
        spare = -(layer["shape"][0] * layer["shape"][1]) % 8
        if spare:
            name = f"mask/{layer['name']}"
            value = int.from_bytes(parts.content[name], "big")
            value = (value & (value - 1)) | 1
            parts.content[name] = value.to_bytes(len(parts.content[name]), "big")
            return
    raise AssertionError("the sound ticket needs a layer whose size is no multiple of 8")


def _drop_tensor(parts: Parts) -> None:
    name = parts.rows("state/")[0]
    del parts.table[name], parts.content[name]


def _add_tensor(parts: Parts) -> None:
    parts.table["state/backdoor"] = {"dtype": "F32", "shape": [2]}
    parts.content["state/backdoor"] = bytes(8)


def _clear_mask(_row: dict[str, Any], content: bytes) -> bytes:
    return bytes(len(content))


TENSOR_LIES: dict[str, Callable[[Parts], None]] = {
    "a mask one byte short": _edit("mask/", _shorten_mask),
    "a mask of zeros": _edit("mask/", _clear_mask),
    "a mask of 16-bit floats": _edit("mask/", _retype("F16")),
    "bits beyond the end of a mask": _set_spare_bits,
    "integer weights": _edit("kept/", _retype("I32")),
    "a NaN weight": _edit("kept/", _write_at_start(b"\x00\x00\xc0\x7f")),
    "an infinite weight": _edit("kept/", _write_at_start(b"\x00\x00\x80\x7f")),
    "a NaN bias": _edit("state/", _write_at_start(b"\x00\x00\xc0\xff")),
    "a boolean bias": _edit("state/", _retype("BOOL")),
    "a tensor missing": _drop_tensor,
    "a tensor too many": _add_tensor,
}


def _edit_row(field: str, value: object) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.table[parts.rows("state/")[0]][field] = value

    return change


def _overlap(parts: Parts) -> None:
    first, second = list(parts.table)[:2]
    size = len(parts.content[second])
    parts.table[second]["data_offsets"] = [parts.table[first]["data_offsets"][0]] * 1 + [
        parts.table[first]["data_offsets"][0] + size
    ]


def _rename(parts: Parts) -> None:
    name = parts.rows("state/")[0]
    parts.table["state/\x00\u202e"] = parts.table.pop(name)
    parts.content["state/\x00\u202e"] = parts.content.pop(name)


LAYOUT_LIES: dict[str, Callable[[Parts], None]] = {
    "a shape of 2**60": _edit_row("shape", [2**60]),
    "a shape of 2**30 times 2**30": _edit_row("shape", [2**30, 2**30]),
    "a negative shape": _edit_row("shape", [-1]),
    "a shape of fractions": _edit_row("shape", [0.5]),
    "a shape of truths": _edit_row("shape", [True]),
    "a shape that is text": _edit_row("shape", "300"),
    "a shape that is nothing": _edit_row("shape", None),
    "offsets beyond the file": _edit_row("data_offsets", [0, 2**50]),
    "offsets the wrong way round": _edit_row("data_offsets", [8, 0]),
    "three offsets": _edit_row("data_offsets", [0, 1, 2]),
    "an unknown dtype": _edit_row("dtype", "F7"),
    "a dtype that is a list": _edit_row("dtype", ["F32"]),
    "an extra key in a row": _edit_row("compressed", True),
    "tensors that overlap": _overlap,
    "a name of control characters": _rename,
}


def forge_files(sound: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (what is wrong, content of the file), for a sound file of either version."""
    length = int.from_bytes(sound[:8], "little")
    lies = JOINED_LIES if "masks" in take_apart(sound).table else TENSOR_LIES
    yield from break_bytes(sound, length)
    yield from lie_about_sizes(sound, length)
    for name, change in {**HEADER_LIES, **lies}.items():
        parts = take_apart(sound)
        change(parts)
        yield name, put_together(parts)
    for name, change in LAYOUT_LIES.items():
        parts = take_apart(sound)
        change(parts)
        yield name, put_together(parts, lay_out=False)
