"""Signed bytes: DSSE envelopes with one Ed25519 signature.

What is signed is the payload's bytes and its type, never a re-serialisation of them (Dead Simple Signing
Envelope, protocol 1.0.2, github.com/secure-systems-lab/dsse).
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lottery_pipeline.ownership.curve import check_public_key
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.keys import OwnerKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_PAYLOAD = 512 * 2**10  # bytes
SIGNATURE_BYTES = 64


@dataclass(frozen=True)
class Envelope:
    """The parts of an envelope, whose signature may or may not be right.

    Attributes:
        payload: the bytes that are signed.
        signature: 64 bytes.
        key_id: SHA-256 of the public key, 64 hexadecimal characters.
    """

    payload: bytes
    signature: bytes
    key_id: str

    @property
    def stamped(self) -> bytes:
        """The bytes whose SHA-256 a time stamp certifies: payload and signature."""
        return self.payload + self.signature

    @property
    def digest(self) -> bytes:
        """SHA-256 of ``stamped``."""
        return hashlib.sha256(self.stamped).digest()

    def to_record(self) -> dict[str, Any]:
        """Return the envelope as plain JSON values."""
        return {
            "payload": encode_base64(self.payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": self.key_id, "sig": encode_base64(self.signature)}],
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE's pre-authentication encoding.

    It gives the lengths of type and payload before each, so that no two pairs have the same bytes.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, key: OwnerKey) -> dict[str, Any]:
    """Sign a payload.

    Returns:
        The envelope as plain JSON values.

    Raises:
        OwnershipError: the payload is larger than ``MAX_PAYLOAD``.
    """
    if len(payload) > MAX_PAYLOAD:
        raise OwnershipError(f"a payload of {len(payload)} bytes is larger than the {MAX_PAYLOAD} allowed")
    signature = key.private_key.sign(pae(PAYLOAD_TYPE, payload))
    return Envelope(payload, signature, key_id(key.public_key)).to_record()


def parse_envelope(envelope: object) -> Envelope:
    """Check the form of an envelope, but not its signature.

    Raises:
        OwnershipError: a field is missing, unknown or of the wrong type, there is not exactly one signature,
            or base64 is not in its one canonical form.
    """
    match envelope:
        case {
            "payload": str(payload),
            "payloadType": str(kind),
            "signatures": [{"keyid": str(key), "sig": str(sig), **more}],
            **rest,
        } if not (more or rest):
            pass
        case _:
            raise OwnershipError(
                "an envelope must hold payload, payloadType and signatures (one, with keyid and sig) only"
            )
    if kind != PAYLOAD_TYPE:
        raise OwnershipError(f"the payload type of an envelope must be {PAYLOAD_TYPE}")
    signature = decode_base64(sig, most=SIGNATURE_BYTES, what="signature")
    if len(signature) != SIGNATURE_BYTES:
        raise OwnershipError(f"an Ed25519 signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    return Envelope(decode_base64(payload, most=MAX_PAYLOAD, what="payload"), signature, key)


def verify(envelope: Envelope, public_key: bytes) -> None:
    """Check the signature of an envelope.

    Raises:
        OwnershipError: the key is not a sound Ed25519 key, or the signature is not that key's.
    """
    check_public_key(public_key)
    if envelope.key_id != key_id(public_key):
        raise OwnershipError("the envelope names another key than the owner's")
    try:
        signed = pae(PAYLOAD_TYPE, envelope.payload)
        Ed25519PublicKey.from_public_bytes(public_key).verify(envelope.signature, signed)
    except InvalidSignature as error:
        raise OwnershipError("the signature of the envelope is not the owner's") from error


def key_id(public_key: bytes) -> str:
    """Return the name of a public key: its SHA-256 in hexadecimal characters."""
    return hashlib.sha256(public_key).hexdigest()


def encode_base64(content: bytes) -> str:
    """Write bytes in base64, with the standard alphabet and padding (RFC 4648, section 4)."""
    return base64.b64encode(content).decode()


def decode_base64(text: str, *, most: int, what: str) -> bytes:
    """Read base64 in the one form that ``encode_base64`` writes.

    Args:
        text: from a stranger.
        most: bytes allowed after decoding.
        what: name of the field in the message.

    Raises:
        OwnershipError: it is too long, or not canonical base64.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise OwnershipError(f"the {what} is not valid base64") from error
    if encode_base64(content) != text:
        raise OwnershipError(f"the {what} is not canonical base64")
    if len(content) > most:
        raise OwnershipError(f"the {what} has more than the {most} bytes allowed")
    return content
