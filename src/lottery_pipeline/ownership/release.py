"""The folder that is published: the ticket, its credential, and the same facts as plain files for openssl.

openssl pkeyutl -verify -pubin -inkey owner.pem -rawin -in commitment.pae -sigfile commitment.sig
openssl ts -verify -data commitment.stamped -in commitment.tsr -CAfile ROOT.pem
"""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lottery_pipeline.ownership.chain_log import log_bytes
from lottery_pipeline.ownership.credential import Bundle, read_bundle
from lottery_pipeline.ownership.envelope import PAYLOAD_TYPE, Envelope, pae
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.foreign_files import hash_file, read_file
from lottery_pipeline.ownership.statements import TICKET_NAME
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.storage import StorageError

CREDENTIAL_NAME = "credential.json"
LOG_NAME = "chain.jsonl"
KEY_NAME = "owner.pem"
_SIDES = [f"{part}.{end}" for part in ("commitment", "release") for end in ("pae", "sig", "tsr", "stamped")]
RELEASE_FILES = (TICKET_NAME, CREDENTIAL_NAME, LOG_NAME, KEY_NAME, *_SIDES)


def write_release(folder: str | Path, ticket_bytes: bytes, bundle: Bundle) -> None:
    """Write the folder; files of an earlier release that no longer belong are removed, others are left.

    Args:
        folder: made if there is none.
        ticket_bytes: content of the ticket file.
        bundle: with a release of this ticket.

    Raises:
        OwnershipError: the bundle has no release, or one of another file, or the folder cannot be written.
    """
    folder = Path(folder)
    if bundle.ticket_sha256 is None:
        raise OwnershipError("a credential without a release cannot be published")
    if hashlib.sha256(ticket_bytes).hexdigest() != bundle.ticket_sha256:
        raise OwnershipError("the release was signed for another ticket file")
    files = {TICKET_NAME: ticket_bytes, CREDENTIAL_NAME: bundle.to_bytes(), **_plain_files(bundle)}
    try:
        for name, content in files.items():
            write_atomically(folder / name, content)
        for name in set(RELEASE_FILES) - set(files):
            (folder / name).unlink(missing_ok=True)
    except StorageError as error:
        raise OwnershipError(str(error)) from error
    except OSError as error:
        raise OwnershipError(f"{folder} cannot be written: {error.strerror or error}") from error


def check_release(folder: str | Path) -> Bundle:
    """Check that a published folder is whole: every file says what the credential says.

    Args:
        folder: from a stranger; files with other names are not looked at.

    Returns:
        The credential.

    Raises:
        OwnershipError: a file is missing, damaged or too many, or the credential does not hold; the sentence
            names the file.
    """
    folder = Path(folder)
    bundle = read_bundle(folder / CREDENTIAL_NAME)
    if bundle.ticket_sha256 is None:
        raise OwnershipError(f"the credential in {folder} has no release")
    if hash_file(folder / TICKET_NAME) != bundle.ticket_sha256:
        raise OwnershipError(f"{folder / TICKET_NAME} is not the file that the release was signed for")
    files = _plain_files(bundle)
    for name, content in files.items():
        if read_file(folder / name, most=len(content)) != content:
            raise OwnershipError(f"{folder / name} does not agree with the credential")
    for name in RELEASE_FILES:
        if name not in (TICKET_NAME, CREDENTIAL_NAME, *files) and (folder / name).exists():
            raise OwnershipError(f"{folder / name} does not belong to the credential")
    return bundle


def _plain_files(bundle: Bundle) -> dict[str, bytes]:
    key = Ed25519PublicKey.from_public_bytes(bundle.public_key)
    files = {KEY_NAME: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)}
    if bundle.log:
        files[LOG_NAME] = log_bytes(bundle.log)
    files |= _sides("commitment", bundle.commitment_envelope, bundle.commitment_token)
    if bundle.release_envelope is not None:
        files |= _sides("release", bundle.release_envelope, bundle.release_token)
    return files


def _sides(part: str, envelope: Envelope, token: bytes | None) -> dict[str, bytes]:
    files = {f"{part}.pae": pae(PAYLOAD_TYPE, envelope.payload), f"{part}.sig": envelope.signature}
    if token is not None:
        files |= {f"{part}.tsr": token, f"{part}.stamped": envelope.stamped}
    return files
