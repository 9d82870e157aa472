"""Fingerprints: one SHA-256 for everything that determines an artefact."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def fingerprint_tensors(tensors: "Mapping[str, Tensor]") -> str:
    """Hash the names, dtypes, shapes and bytes of tensors, in name order.

    Args:
        tensors: any tensors by name, on any device.

    Returns:
        64 lower-case hexadecimal characters.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
