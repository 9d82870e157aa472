"""Owners, and credentials of theirs that hold."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lottery_pipeline.ownership.chain_log import LogEntry
from lottery_pipeline.ownership.credential import (
    Bundle,
    make_bundle,
    sign_commitment,
    sign_release,
    with_release,
)
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.statements import Code, Commitment, Release

TICKET = b"the bytes of a ticket file"
TIMES = ("2026-05-01T08:00:00Z", "2026-05-02T09:30:00Z", "2026-05-03T10:00:00Z", "2026-05-04T11:45:10Z")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_key(number: int = 1) -> OwnerKey:
    return OwnerKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32), bytes([number + 100]) * 32)


def make_commitment(key: OwnerKey, **changes: Any) -> Commitment:
    fields: dict[str, Any] = {
        "owner": "Zoë Example",
        "public_key": key.public_key.hex(),
        "nonce": sha("nonce"),
        "model": "resnet20",
        "spec": sha("spec"),
        "unmarked_masks": sha("unmarked masks"),
        "mask_key": sha("mask key"),
        "trigger_keys": tuple(sha(f"trigger key {index}") for index in range(4)),
        "trigger_root": sha("triggers"),
        "code": Code(
            groups=(("layer2.0.conv1", 24), ("layer3.0.conv2", 120)), live=sha("live"), grinding_bits=4
        ),
    }
    return Commitment(**(fields | changes))


def make_release(bundle: Bundle, **changes: Any) -> Release:
    fields: dict[str, Any] = {
        "commitment": bundle.commitment_digest,
        "marked_masks": sha("marked masks"),
        "tensors": sha("tensors"),
        "ticket": sha("ticket"),
        "accuracy_ppm": 952_646,
        "trigger_root": bundle.commitment.trigger_root,
        "grinding_trial": 11,
    }
    return Release(**(fields | changes))


def chain(rows: Sequence[tuple[str, str]]) -> tuple[LogEntry, ...]:
    """Write a log of (time, digest) rows, by hand and without any check."""
    entries: list[LogEntry] = []
    previous = "0" * 64
    for index, (time, digest) in enumerate(rows):
        fields = {"digest": digest, "index": index, "previous": previous, "time": time}
        previous = hashlib.sha256(
            json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        ).hexdigest()
        entries.append(LogEntry(**fields, entry=previous))
    return tuple(entries)


def make_published(key: OwnerKey | None = None, *, logged: bool = True, **changes: Any) -> Bundle:
    """Return a credential with a release; its log has an entry of somebody else before and between."""
    key = make_key() if key is None else key
    signed = sign_commitment(make_commitment(key, **changes), key)
    committed = make_bundle(signed)
    released = sign_release(make_release(committed), hashlib.sha256(TICKET).hexdigest(), key)
    digests = (sha("first"), signed.digest.hex(), sha("third"), released.digest.hex())
    log = chain(list(zip(TIMES, digests, strict=True))) if logged else ()
    return with_release(committed, released, log=log)
