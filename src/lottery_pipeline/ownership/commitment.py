"""Committing to a ticket before it is marked, so that nobody can choose a key that happens to fit."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.ownership.carriers import fingerprint_live, plan_groups
from lottery_pipeline.ownership.chain_log import append, read_log
from lottery_pipeline.ownership.credential import Bundle, make_bundle, sign_commitment
from lottery_pipeline.ownership.envelope import Envelope
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.keys import OwnerKey, credential_salt, derive_key
from lottery_pipeline.ownership.statements import TRIGGER_SETS, Code, Commitment
from lottery_pipeline.ownership.time_stamp import request_stamp
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.tickets.ticket import Ticket

STAMP_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True, repr=False)
class Owner:
    """Who signs.

    Attributes:
        key: the owner's.
        log: path of the log that dates what was signed; it outlives any run.
    """

    key: OwnerKey
    log: Path


@dataclass(frozen=True, repr=False)
class Secrets:
    """The keys of one credential, all derived from the owner's secret.

    Attributes:
        mask_key: K_mask, of the mask code.
        trigger_keys: one for each of the four trigger sets.
    """

    mask_key: bytes
    trigger_keys: tuple[bytes, ...]


def derive_secrets(key: OwnerKey, *, nonce: bytes, unmarked_masks: str) -> Secrets:
    """Derive the keys of a credential.

    The salt is the nonce and the hash of the unmarked masks. It cannot be the hash of the credential, which
    holds the hashes of these very keys.

    Args:
        key: the owner's.
        nonce: 32 bytes of the credential.
        unmarked_masks: SHA-256 of the masks before the mark, hexadecimal.
    """
    salt = credential_salt(nonce, unmarked_masks)
    triggers = [derive_key(key.secret, salt=salt, purpose=f"triggers/{i}") for i in range(TRIGGER_SETS)]
    return Secrets(derive_key(key.secret, salt=salt, purpose="mask"), tuple(triggers))


def find_secrets(key: OwnerKey, commitment: Commitment) -> Secrets:
    """Derive the keys of a stored credential again.

    Raises:
        OwnershipError: the credential was made with another key.
    """
    nonce = bytes.fromhex(commitment.nonce)
    secrets = derive_secrets(key, nonce=nonce, unmarked_masks=commitment.unmarked_masks)
    if hash_key(secrets.mask_key) != commitment.mask_key:
        raise OwnershipError(
            f"the credential was made with another key ({commitment.public_key[:12]}) than the one at hand "
            f"({key.public_key.hex()[:12]})"
        )
    return secrets


def commit_ticket(
    ticket: Ticket,
    owner: Owner,
    options: SignatureOptions,
    *,
    find_trigger_root: Callable[[Secrets], bytes],
    stored: Bundle | None = None,
) -> Bundle:
    """Sign and date what is known about a ticket before it is marked.

    Args:
        ticket: to be signed, ``kind="ticket"``.
        owner: who signs.
        options: of the signature.
        find_trigger_root: gives the Merkle root of the four trigger sets.
        stored: an earlier credential. It is kept if it says the same, because a new nonce would void its
            dates.

    Returns:
        A credential without a release.

    Raises:
        OwnershipError: the ticket is trained already or cannot hold the mark, or the log or the authority
            does not date the commitment.
    """
    if ticket.header.kind != "ticket":
        raise OwnershipError("this ticket is trained already; sign the ticket it came from")
    unmarked = fingerprint_tensors(ticket.masks)
    code = Code(
        groups=tuple(plan_groups(ticket.masks, options.groups).items()),
        live=fingerprint_live(ticket.masks),
        grinding_bits=options.grinding_bits,
    )

    def write(nonce: bytes) -> Commitment:
        secrets = derive_secrets(owner.key, nonce=nonce, unmarked_masks=unmarked)
        return Commitment(
            owner=options.owner,
            public_key=owner.key.public_key.hex(),
            nonce=nonce.hex(),
            model=ticket.header.spec.name,
            spec=fingerprint(ticket.header.spec.model_dump(mode="json")),
            unmarked_masks=unmarked,
            mask_key=hash_key(secrets.mask_key),
            trigger_keys=tuple(hash_key(key) for key in secrets.trigger_keys),
            trigger_root=find_trigger_root(secrets).hex(),
            code=code,
        )

    url = options.time_stamp_url
    if stored is not None and stored.commitment == write(bytes.fromhex(stored.commitment.nonce)):
        envelope, token = stored.commitment_envelope, stored.commitment_token
        if token is None and url is not None:
            return make_bundle(envelope, **date_statement(envelope, owner, url))
        return make_bundle(envelope, log=stored.log, token=token)
    envelope = sign_commitment(write(os.urandom(32)), owner.key)
    return make_bundle(envelope, **date_statement(envelope, owner, url))


def date_statement(envelope: Envelope, owner: Owner, url: str | None) -> dict[str, Any]:
    """Enter a statement in the owner's log, and have an authority stamp it if there is one.

    Returns:
        ``log`` and ``token``, as credentials take them.

    Raises:
        OwnershipError: the log is not valid, or the authority cannot be reached or does not answer properly.
    """
    append(owner.log, envelope.digest, datetime.now(UTC))
    token = None if url is None else request_stamp(envelope.stamped, url, timeout=STAMP_TIMEOUT)
    return {"log": read_log(owner.log), "token": token}


def hash_key(key: bytes) -> str:
    """Return what a commitment says about a key: its SHA-256, hexadecimal."""
    return hashlib.sha256(key).hexdigest()
