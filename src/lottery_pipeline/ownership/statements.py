"""What an owner signs: in-toto Statements (version 1) with two predicate types of our own.

A **commitment** is made before the mark is embedded, a **release** when the marked ticket is published. Both
are canonical JSON; a text in any other layout is refused, so that one statement has one hash.
"""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lottery_pipeline.ownership.canonical_json import decode_canonical, encode
from lottery_pipeline.ownership.curve import check_public_key
from lottery_pipeline.ownership.envelope import MAX_PAYLOAD
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.records import (
    LayerName,
    ModelName,
    Owner,
    Record,
    RecordModel,
    Sha256,
    parse_record,
)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
COMMITMENT_TYPE = "urn:lottery-pipeline:ownership:commitment:v1"
RELEASE_TYPE = "urn:lottery-pipeline:ownership:release:v1"
COMMITMENT_SUBJECT = "unmarked-masks"
TICKET_NAME = "ticket.safetensors"
TRIGGER_SETS = 4
PAYLOAD_BYTES = 16


def _check_key(text: str) -> str:
    check_public_key(bytes.fromhex(text))
    return text


PublicKey = Annotated[Sha256, AfterValidator(_check_key)]  # 64 hexadecimal characters as well
Nonce = Sha256
Alpha = Annotated[int, Field(ge=20, le=128)]
Groups = Annotated[int, Field(ge=1, le=2**20)]


class Code(Record):
    """Parameters of the mask code; there is no place for positions, which come from the key alone.

    Attributes:
        groups: number of groups of eight cells per carrier layer, in model order.
        live: SHA-256 of the channels that are alive in the unmarked ticket.
        grinding_bits: g; the embedder may try 2^g whitenings, which costs g bits of evidence.
        reference: what a suspect is aligned to; ``aligned`` is the signed release.
    """

    groups: Annotated[tuple[tuple[LayerName, Groups], ...], Field(min_length=1, max_length=4096)]
    live: Sha256
    grinding_bits: Annotated[int, Field(ge=0, le=16)]
    reference: Literal["aligned"] = "aligned"

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if len({name for name, _ in self.groups}) != len(self.groups):
            raise ValueError("a layer is listed twice")
        return self


class Commitment(Record):
    """What the owner fixes before the mark exists.

    Attributes:
        owner: name, in words.
        public_key: Ed25519, hexadecimal.
        nonce: 32 random bytes, hexadecimal.
        model: name of the model.
        spec: SHA-256 of the model spec.
        unmarked_masks: SHA-256 of the masks before the mark.
        mask_key: SHA-256 of the key of the mask code.
        trigger_keys: SHA-256 of the key of each trigger set.
        trigger_root: Merkle root of the trigger sets.
        code: parameters of the mask code.
        alpha_stamped: bits of evidence that prove a claim whose time stamp is older than the suspect.
        alpha_unstamped: bits of evidence that prove it otherwise, when the accuser may have tried many keys.
    """

    owner: Owner
    public_key: PublicKey
    nonce: Nonce
    model: ModelName
    spec: Sha256
    unmarked_masks: Sha256
    mask_key: Sha256
    trigger_keys: Annotated[tuple[Sha256, ...], Field(min_length=TRIGGER_SETS, max_length=TRIGGER_SETS)]
    trigger_root: Sha256
    code: Code
    alpha_stamped: Alpha = 40
    alpha_unstamped: Alpha = 64

    @model_validator(mode="after")
    def _check_alphas(self) -> Self:
        if self.alpha_unstamped < self.alpha_stamped:
            raise ValueError("alpha_unstamped must be at least alpha_stamped")
        return self


class Release(Record):
    """What the owner says about the marked ticket when it is published.

    Attributes:
        commitment: SHA-256 of the commitment's statement.
        marked_masks: SHA-256 of the masks with the mark.
        tensors: SHA-256 of the trained tensors.
        ticket: fingerprint of the trained ticket.
        accuracy_ppm: test accuracy in millionths.
        trigger_root: as in the commitment.
        grinding_trial: which of the 2^g whitenings was taken.
    """

    commitment: Sha256
    marked_masks: Sha256
    tensors: Sha256
    ticket: Sha256
    accuracy_ppm: Annotated[int, Field(ge=0, le=1_000_000)]
    trigger_root: Sha256
    grinding_trial: Annotated[int, Field(ge=0, lt=2**16)]


def commitment_bytes(commitment: Commitment) -> bytes:
    """Write the statement of a commitment; its subject is the unmarked masks."""
    return _write(COMMITMENT_TYPE, COMMITMENT_SUBJECT, commitment.unmarked_masks, commitment)


def release_bytes(release: Release, ticket_sha256: str) -> bytes:
    """Write the statement of a release.

    Args:
        release: the predicate.
        ticket_sha256: SHA-256 of the ticket file, the statement's subject.
    """
    return _write(RELEASE_TYPE, TICKET_NAME, ticket_sha256, release)


def parse_commitment(statement: bytes) -> Commitment:
    """Read the statement of a commitment.

    Raises:
        OwnershipError: it is not canonical, not a commitment, or a field is wrong.
    """
    commitment, subject = _read(statement, COMMITMENT_TYPE, COMMITMENT_SUBJECT, Commitment)
    if subject != commitment.unmarked_masks:
        raise OwnershipError("the subject of the commitment is not its unmarked masks")
    _check_complete(commitment_bytes(commitment), statement)
    return commitment


def parse_release(statement: bytes) -> tuple[Release, str]:
    """Read the statement of a release.

    Returns:
        The release, and the SHA-256 of its ticket file.

    Raises:
        OwnershipError: it is not canonical, not a release, or a field is wrong.
    """
    release, subject = _read(statement, RELEASE_TYPE, TICKET_NAME, Release)
    _check_complete(release_bytes(release, subject), statement)
    return release, subject


def payload_of(commitment_payload: bytes) -> bytes:
    """Return the 16 bytes that the mark carries: the head of SHA-256 of the commitment's statement."""
    return hashlib.sha256(b"LTOWN1" + commitment_payload).digest()[:PAYLOAD_BYTES]


class _Digest(Record):
    sha256: Sha256


class _Subject(Record):
    name: LayerName
    digest: _Digest


def _write(kind: str, name: str, sha256: str, predicate: Record) -> bytes:
    return encode(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": sha256}}],
            "predicateType": kind,
            "predicate": predicate.model_dump(mode="json"),
        }
    )


def _read(statement: bytes, kind: str, name: str, model: type[RecordModel]) -> tuple[RecordModel, str]:
    match decode_canonical(statement, most=MAX_PAYLOAD):
        case {"_type": found, "subject": [subject], "predicateType": found_kind, "predicate": predicate}:
            pass
        case _:
            raise OwnershipError("a statement must hold _type, one subject, predicateType and predicate")
    if found != STATEMENT_TYPE:
        raise OwnershipError(f"the type of a statement must be {STATEMENT_TYPE}")
    if found_kind != kind:
        raise OwnershipError(f"the predicate type of the statement must be {kind}")
    target = parse_record(_Subject, subject, what="subject of the statement")
    if target.name != name:
        raise OwnershipError(f"the subject of the statement must be named {name}")
    return parse_record(model, predicate, what="predicate of the statement"), target.digest.sha256


def _check_complete(written: bytes, read: bytes) -> None:
    """Refuse a statement that leaves out a field with a default, or has one that we would not write."""
    if written != read:
        raise OwnershipError("the statement lacks a field, or has one that is unknown")
