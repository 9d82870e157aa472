"""The owner's key: it signs statements, and every key of the mark comes from its secret."""

import hashlib
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lottery_pipeline.ownership.canonical_json import decode, encode
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.foreign_files import read_file

KEY_FORMAT = "lottery_pipeline.owner_key"
KEY_VERSION = 2
MAX_KEY_FILE = 4096  # bytes
SECRET_BYTES = 32

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, repr=False, eq=False)
class OwnerKey:
    """What only the owner has; it shows nothing of itself in messages, logs and tracebacks.

    Attributes:
        private_key: Ed25519, signs statements (RFC 8032).
        secret: 32 bytes, from which ``derive_key`` makes the keys of the mark.
    """

    private_key: Ed25519PrivateKey
    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise OwnershipError(f"an owner's secret has {SECRET_BYTES} bytes")

    def __repr__(self) -> str:
        return "OwnerKey(hidden)"

    @property
    def public_key(self) -> bytes:
        """The 32 bytes that anybody may know."""
        return self.private_key.public_key().public_bytes_raw()


def create_key_file(path: str | Path) -> OwnerKey:
    """Draw a key from the system's randomness and write it to a new file that only its owner can read.

    Args:
        path: of the file; its folder is made.

    Raises:
        OwnershipError: the file exists already (a key that is overwritten is lost), or cannot be written.
    """
    path = Path(path)
    key = OwnerKey(Ed25519PrivateKey.generate(), secrets.token_bytes(SECRET_BYTES))
    record: dict[str, str | int] = {
        "format": KEY_FORMAT,
        "version": KEY_VERSION,
        "private_key": key.private_key.private_bytes_raw().hex(),
        "secret": key.secret.hex(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, encode({**record, "sha256": _sum(record)}) + b"\n")
    except OSError as error:
        taken = isinstance(error, FileExistsError) and path.exists()
        fault = "a key is never overwritten" if taken else error.strerror or error
        raise OwnershipError(f"the key file {path} cannot be made: {fault}") from error
    return key


def read_key_file(path: str | Path) -> OwnerKey:
    """Read a key that ``create_key_file`` has written.

    One of version 1, which has no sum of its content, is read as well.

    Raises:
        OwnershipError: the file is missing, not regular, larger than 4 KiB, open to others than its owner
            (POSIX), not a key, or damaged; no sentence, and no cause of it, holds a byte of the file.
    """
    content = read_file(path, most=MAX_KEY_FILE, private=True)
    try:
        record = decode(content, most=MAX_KEY_FILE)
    except OwnershipError:
        record = None  # the error is left behind here: the decoder's keeps the whole text
    if not isinstance(record, dict):
        record = {}
    found = record.pop("sha256", None)
    match record:
        case {
            "format": str(kind),
            "version": int(version),
            "private_key": str(seed),
            "secret": str(secret),
        } if (
            len(record) == 4
            and (kind, version, found is None) in ((KEY_FORMAT, 1, True), (KEY_FORMAT, KEY_VERSION, False))
            and _are_hex(seed, secret)
        ):
            if found not in (None, _sum(record)):
                raise OwnershipError(f"{path} is damaged: its SHA-256 is not that of its content")
            private_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
            return OwnerKey(private_key, bytes.fromhex(secret))
    raise OwnershipError(
        f"{path} is not a key file: it must hold format {KEY_FORMAT}, version {KEY_VERSION}, "
        "private_key, secret and sha256 with 64 lower-case hexadecimal characters each"
    )


def _sum(record: dict[str, str | int]) -> str:
    """Sum what a key file holds: one wrong digit would be the key of another owner."""
    return hashlib.sha256(encode(record)).hexdigest()


def _write_new(path: Path, content: bytes) -> None:
    """Write a new file at once: of two runs that make a key, one succeeds and none sees half a key."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        try:
            os.link(name, path)  # unlike a rename, it fails where a file is
        except FileExistsError:
            raise
        except OSError:  # a file system without links: there, a run beside this one may see an empty file
            path.touch(0o600, exist_ok=False)
            Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def derive_key(secret: bytes, *, salt: bytes, purpose: str) -> bytes:
    """Derive a key of 32 bytes for one purpose by HKDF with SHA-256 (RFC 5869).

    Args:
        secret: the owner's.
        salt: ``credential_salt`` of the credential that the key belongs to.
        purpose: what the key is for, such as ``mask``; keys of different purposes tell nothing of each other.
    """
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose.encode()).derive(secret)


def credential_salt(nonce: bytes, unmarked_masks: str) -> bytes:
    """Return the salt of a credential's keys: SHA-256 of its nonce and of the masks before the mark.

    The salt cannot be a hash of the credential, because the credential holds hashes of the keys.

    Args:
        nonce: the credential's 32 random bytes.
        unmarked_masks: SHA-256 of the unmarked masks, 64 hexadecimal characters.

    Raises:
        OwnershipError: one of them has another length.
    """
    if len(nonce) != 32 or not _are_hex(unmarked_masks):
        raise OwnershipError("a salt needs a nonce of 32 bytes and a SHA-256 in lower-case hexadecimal")
    return hashlib.sha256(nonce + bytes.fromhex(unmarked_masks)).digest()


def _are_hex(*texts: str) -> bool:
    return all(_HEX.fullmatch(text) for text in texts)
