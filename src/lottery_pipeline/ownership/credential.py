"""The credential: everything public that says who owns a ticket, in one JSON file.

Signed statements, the log that dates them, and the stamps of time-stamping authorities. What can be checked
without a secret is checked when a ``Bundle`` is made, so there are none that do not hold.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lottery_pipeline.ownership.canonical_json import decode, encode
from lottery_pipeline.ownership.chain_log import MAX_ENTRIES, LogEntry, check_log, find_entry
from lottery_pipeline.ownership.envelope import (
    Envelope,
    decode_base64,
    encode_base64,
    parse_envelope,
    seal,
    verify,
)
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.foreign_files import read_file
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.records import parse_record
from lottery_pipeline.ownership.statements import (
    Commitment,
    Release,
    commitment_bytes,
    parse_commitment,
    parse_release,
    payload_of,
    release_bytes,
)
from lottery_pipeline.ownership.time_stamp import MAX_TOKEN

BUNDLE_FORMAT = "lottery_pipeline.credential"
BUNDLE_VERSION = 1
MAX_BUNDLE = 2**20  # bytes


@dataclass(frozen=True)
class Bundle:
    """A credential; making one checks all that needs no secret.

    Attributes:
        commitment_envelope: the signed commitment.
        release_envelope: the signed release, if the ticket is published.
        log: the whole log that dates both, or empty.
        commitment_token: RFC 3161 time stamp of the commitment, if there is one.
        release_token: same of the release.

    Raises:
        OwnershipError: a statement or signature is wrong, the release belongs to another commitment, the log
            is not a chain or lacks a statement, or the file would be too large.
    """

    commitment_envelope: Envelope
    release_envelope: Envelope | None = None
    log: tuple[LogEntry, ...] = ()
    commitment_token: bytes | None = None
    release_token: bytes | None = None

    def __post_init__(self) -> None:
        verify(self.commitment_envelope, self.public_key)
        if self.release_envelope is not None:
            verify(self.release_envelope, self.public_key)
        self._check_release()
        self._check_log()
        for token in (self.commitment_token, self.release_token):
            if token is not None and len(token) > MAX_TOKEN:
                raise OwnershipError(f"a time stamp has more than the {MAX_TOKEN} bytes allowed")
        if len(self.to_bytes()) > MAX_BUNDLE:
            raise OwnershipError(f"the credential has more than the {MAX_BUNDLE} bytes allowed")

    @cached_property
    def commitment(self) -> Commitment:
        """What the owner fixed before the mark existed."""
        return parse_commitment(self.commitment_envelope.payload)

    @property
    def commitment_digest(self) -> str:
        """SHA-256 of the commitment's statement, 64 hexadecimal characters."""
        return hashlib.sha256(self.commitment_envelope.payload).hexdigest()

    @property
    def payload(self) -> bytes:
        """The 16 bytes that the mark carries."""
        return payload_of(self.commitment_envelope.payload)

    @property
    def public_key(self) -> bytes:
        """The owner's 32 bytes."""
        return bytes.fromhex(self.commitment.public_key)

    @property
    def release(self) -> Release | None:
        """What the owner says about the published ticket."""
        return None if self._released is None else self._released[0]

    @property
    def ticket_sha256(self) -> str | None:
        """SHA-256 of the published ticket's file, 64 hexadecimal characters."""
        return None if self._released is None else self._released[1]

    @property
    def commitment_time(self) -> datetime | None:
        """When the commitment was logged."""
        return self._logged(self.commitment_envelope)

    @property
    def release_time(self) -> datetime | None:
        """When the release was logged."""
        return self._logged(self.release_envelope)

    def to_bytes(self) -> bytes:
        """Write the credential; the same credential gives the same bytes."""
        record: dict[str, Any] = {
            "format": BUNDLE_FORMAT,
            "version": BUNDLE_VERSION,
            "commitment": self.commitment_envelope.to_record(),
            "log": [entry.model_dump() for entry in self.log],
            "stamps": {
                name: encode_base64(token)
                for name, token in (("commitment", self.commitment_token), ("release", self.release_token))
                if token is not None
            },
        }
        if self.release_envelope is not None:
            record["release"] = self.release_envelope.to_record()
        return encode(record) + b"\n"

    @cached_property
    def _released(self) -> tuple[Release, str] | None:
        return None if self.release_envelope is None else parse_release(self.release_envelope.payload)

    def _logged(self, envelope: Envelope | None) -> datetime | None:
        entry = None if envelope is None else find_entry(self.log, envelope.digest)
        return None if entry is None else entry.moment

    def _check_release(self) -> None:
        if self.release is None:
            if self.release_token is not None:
                raise OwnershipError("the credential has a time stamp of a release, but no release")
            return
        if self.release.commitment != self.commitment_digest:
            raise OwnershipError("the release belongs to another commitment")
        if self.release.trigger_root != self.commitment.trigger_root:
            raise OwnershipError("the release names other trigger sets than its commitment")
        if self.release.grinding_trial >= 2**self.commitment.code.grinding_bits:
            raise OwnershipError("the release took a whitening that its commitment does not allow")

    def _check_log(self) -> None:
        if not self.log:
            return
        check_log(self.log)
        committed = find_entry(self.log, self.commitment_envelope.digest)
        if committed is None:
            raise OwnershipError("the log does not hold the commitment")
        if self.release_envelope is not None:
            released = find_entry(self.log, self.release_envelope.digest)
            if released is None:
                raise OwnershipError("the log does not hold the release")
            if released.index < committed.index:
                raise OwnershipError("the log holds the release before its commitment")


def sign_commitment(commitment: Commitment, key: OwnerKey) -> Envelope:
    """Sign a commitment.

    Raises:
        OwnershipError: the commitment names another public key, or is too large.
    """
    if commitment.public_key != key.public_key.hex():
        raise OwnershipError("the commitment names another public key than that of the owner's key")
    return parse_envelope(seal(commitment_bytes(commitment), key))


def sign_release(release: Release, ticket_sha256: str, key: OwnerKey) -> Envelope:
    """Sign a release.

    Args:
        release: what is said about the ticket.
        ticket_sha256: SHA-256 of the ticket file, 64 hexadecimal characters.
        key: the owner's.
    """
    return parse_envelope(seal(release_bytes(release, ticket_sha256), key))


def make_bundle(commitment: Envelope, *, log: Sequence[LogEntry] = (), token: bytes | None = None) -> Bundle:
    """Make the credential of a ticket that is not published yet.

    Args:
        commitment: from ``sign_commitment``.
        log: from ``chain_log.read_log``, after ``commitment.digest`` was appended.
        token: from ``time_stamp.request_stamp`` of ``commitment.stamped``.

    Raises:
        OwnershipError: as ``Bundle``.
    """
    return Bundle(commitment, log=tuple(log), commitment_token=token)


def with_release(
    bundle: Bundle, release: Envelope, *, log: Sequence[LogEntry], token: bytes | None = None
) -> Bundle:
    """Add the release to a credential; the arguments are those of ``make_bundle``, for the release.

    Args:
        bundle: with the commitment.
        release: from ``sign_release``.
        log: takes the place of the bundle's; it must hold both.
        token: the release's time stamp.

    Raises:
        OwnershipError: as ``Bundle``.
    """
    return replace(bundle, release_envelope=release, log=tuple(log), release_token=token)


def read_bundle(path: str | Path) -> Bundle:
    """Read and check a credential file.

    Raises:
        OwnershipError: the file cannot be read, or as ``parse_bundle``; the sentence names it.
    """
    content = read_file(path, most=MAX_BUNDLE)
    try:
        return parse_bundle(content)
    except OwnershipError as error:
        raise OwnershipError(f"cannot use {path}: {error}") from error


def parse_bundle(content: bytes) -> Bundle:
    """Read and check the content of a credential file.

    Raises:
        OwnershipError: it is not JSON of this format, or as ``Bundle``.
    """
    match decode(content, most=MAX_BUNDLE):
        case {
            "format": str(kind),
            "version": int(version),
            "commitment": commitment,
            "log": list(entries),
            "stamps": dict(stamps),
            **rest,
        }:
            pass
        case _:
            raise OwnershipError("a credential must hold format, version, commitment, log and stamps")
    if (kind, version) != (BUNDLE_FORMAT, BUNDLE_VERSION):
        raise OwnershipError(f"a credential must be of format {BUNDLE_FORMAT}, version {BUNDLE_VERSION}")
    if set(rest) - {"release"} or set(stamps) - {"commitment", "release"}:
        raise OwnershipError("the credential has an unknown field")
    if len(entries) > MAX_ENTRIES:
        raise OwnershipError(f"the log has more than {MAX_ENTRIES} entries")
    return Bundle(
        parse_envelope(commitment),
        parse_envelope(rest["release"]) if "release" in rest else None,
        tuple(parse_record(LogEntry, entry, what="log entry") for entry in entries),
        _token(stamps.get("commitment")),
        _token(stamps.get("release")),
    )


def _token(text: object) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise OwnershipError("a time stamp of the credential is not a string")
    return decode_base64(text, most=MAX_TOKEN, what="time stamp")
