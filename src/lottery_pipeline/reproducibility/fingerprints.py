"""Fingerprints: one SHA-256 for everything that determines an artefact."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FINGERPRINT_LENGTH = 64


def fingerprint(record: Mapping[str, Any]) -> str:
    """Hash a record of plain JSON values.

    Args:
        record: what determines the artefact; key order does not matter.

    Returns:
        64 lower-case hexadecimal characters (SHA-256 of the canonical JSON).

    Raises:
        ValueError: a number is not finite.
        TypeError: a value is not plain JSON.
    """
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Pieced(Protocol):
    """A tensor that is not in memory as a whole."""

    dtype: "torch.dtype"

    @property
    def shape(self) -> "torch.Size":
        """Size of each dimension."""
        ...

    def pieces(self) -> "Iterator[Tensor]":
        """Yield the tensor, piece by piece along its first dimension."""
        ...


class TensorDigest:
    """SHA-256 of tensors: their names, dtypes, shapes and bytes. They must come in name order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def begin(self, name: str, dtype: "torch.dtype", shape: Sequence[int]) -> None:
        """Begin a tensor, whose pieces follow."""
        self._digest.update(f"{name}|{dtype}|{tuple(shape)}|".encode())

    def add(self, piece: "Tensor") -> None:
        """Add a piece of the tensor that was begun last, along its first dimension, or all of it."""
        import torch

        piece = piece.detach().cpu().contiguous()
        if not piece.numel():  # NumPy's may have a stride that torch cannot view
            return
        self._digest.update(piece.reshape(-1).view(torch.uint8).numpy().data)

    def hexdigest(self) -> str:
        """Return 64 lower-case hexadecimal characters."""
        return self._digest.hexdigest()


def fingerprint_tensors(tensors: "Mapping[str, Tensor | Pieced]") -> str:
    """Hash the names, dtypes, shapes and bytes of tensors, in name order.

    Args:
        tensors: any tensors by name, on any device.

    Returns:
        64 lower-case hexadecimal characters.
    """
    import torch

    digest = TensorDigest()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.begin(name, tensor.dtype, tensor.shape)
        for piece in [tensor] if isinstance(tensor, torch.Tensor) else tensor.pieces():
            digest.add(piece)
    return digest.hexdigest()
