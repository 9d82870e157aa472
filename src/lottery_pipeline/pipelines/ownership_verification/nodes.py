"""Nodes of ownership verification, and of the disclosure that lets others verify."""

import hashlib
from pathlib import Path
from typing import Any

from lottery_pipeline.options.ownership import NOT_SIGNED, SignatureOptions, VerificationOptions
from lottery_pipeline.parameters import WorkParameters

BLOCK = "ownership_verification"
MAX_CERTIFICATES = 2**20  # bytes of a file
UNSIGNED = "The ticket is not signed, because its mask has no room for a mark."


def verify_ownership(
    release: Any,
    suspect: Any,
    owner: Any,
    ownership_verification: VerificationOptions,
    signature_embedding: SignatureOptions,
    device: str,
    work: WorkParameters,
    disclosure: Any = None,
    predictions: Any = None,
) -> dict[str, Any]:
    """Compare a suspect with a published ticket, and give one verdict with every check.

    The owner's key opens the claim if it is the owner's own, a disclosure opens anybody's. Without either,
    only the published file itself is recognised. The owner asks for the triggers, too, if the images of this
    variant are still there, and whether the suspect makes the same mistakes; a stranger needs none.
    """
    if release is None:
        return {"verdict": NOT_SIGNED, "sentence": UNSIGNED, "checks": []}
    from lottery_pipeline.images.splits_file import find_splits
    from lottery_pipeline.ownership.answers import ask_model, ask_table, predict_with
    from lottery_pipeline.ownership.claims import open_as_owner, open_by_disclosure
    from lottery_pipeline.ownership.fingerprint import compare_answers
    from lottery_pipeline.ownership.foreign_files import read_file
    from lottery_pipeline.ownership.suspect import gather_suspect, read_suspect
    from lottery_pipeline.ownership.verify import verify_claim

    known = None
    if isinstance(suspect, Path):
        known = read_suspect(suspect, release.ticket)
    elif suspect is not None:  # a ticket of this run
        sha256 = hashlib.sha256(suspect.to_bytes()).hexdigest()
        known = gather_suspect(suspect.state, release.ticket, sha256=sha256)
    opened = own = None
    if disclosure is not None:
        opened = open_by_disclosure(release, disclosure)
    elif owner is not None and owner.key.public_key.hex() == release.bundle.commitment.public_key:
        images = find_splits(work.images, "auto")
        signed_with = release.ticket.header.parents.get("images")
        own = images if images is not None and images.fingerprint == signed_with else None
        opened = open_as_owner(release, owner.key, own, signature_embedding)
    ask = None
    if predictions is not None:
        ask = ask_table(predictions)
        # Of a suspect whose weights are not known: the published file stands in the catalog in its place.
        known = None if known is None or known.sha256 == release.bundle.ticket_sha256 else known
    elif known is not None and known.model is not None:
        ask = ask_model(predict_with(known.model, device=device))
    found = verify_claim(
        release,
        known,
        opened=opened,
        ask=ask,
        seen=ownership_verification.suspect_seen,
        roots=[read_file(path, most=MAX_CERTIFICATES) for path in ownership_verification.roots],
        known_entry=ownership_verification.known_entry,
    )
    if own is None or known is None or known.model is None:
        return found
    published = predict_with(release.ticket.build(), device=device)
    return compare_answers(found, published, predict_with(known.model, device=device), own.test)


def record_verdict(ownership: dict[str, Any], device: str) -> dict[str, Any]:
    """Put the verdict into a record: its numbers and words, the checks as rows, how they were computed."""
    from lottery_pipeline.training.device import describe_device

    parts = {name: ownership.get(name) or {} for name in ("mask_code", "triggers", "fingerprint")}
    numbers = {f"{part}_{name}": value for part, values in parts.items() for name, value in values.items()}
    words = (
        *("verdict", "sentence", "owner", "public_key", "commitment", "committed", "released"),
        *("bits", "alpha_bits"),
    )
    said = {word: ownership[word] for word in words if word in ownership}
    arithmetic = describe_device(device)
    return {"metrics": {**said, **numbers}, "checks": ownership["checks"], "arithmetic": arithmetic}


def disclose(release: Any, images: Any, owner: Any, signature_embedding: SignatureOptions) -> Any:
    """Reveal the key of the mark and the first trigger set, for a judge."""
    from lottery_pipeline.ownership.claims import disclose as reveal

    return reveal(release, owner.key, images, signature_embedding, number=0)
