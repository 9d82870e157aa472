"""Claims: a published ticket with its credential, and the secrets that open it."""

from dataclasses import dataclass
from pathlib import Path

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.ownership.carriers import fingerprint_live
from lottery_pipeline.ownership.commitment import find_secrets
from lottery_pipeline.ownership.credential import Bundle
from lottery_pipeline.ownership.disclosure import Disclosure, check_disclosure, make_disclosure
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.merkle import merkle_root
from lottery_pipeline.ownership.release import check_release
from lottery_pipeline.ownership.signing import draw_triggers
from lottery_pipeline.ownership.statements import TICKET_NAME
from lottery_pipeline.ownership.triggers import TriggerSet
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket


@dataclass(frozen=True, eq=False)
class Claim:
    """A release as it is published.

    Attributes:
        bundle: the credential.
        ticket: the signed and trained ticket; suspects are aligned to it.
    """

    bundle: Bundle
    ticket: Ticket


@dataclass(frozen=True, repr=False, eq=False)
class Opened:
    """What opens a claim: given by the owner's key, or by a disclosure that was checked.

    Attributes:
        mask_key: K_mask.
        triggers: a trigger set, if there is one at hand.
        by_owner: whether the owner has opened it, who knows when his own log was written.
    """

    mask_key: bytes
    triggers: TriggerSet | None = None
    by_owner: bool = False


def read_claim(folder: str | Path, allow_factory: str | None = None) -> Claim:
    """Read and check a release folder; see ``check_release``.

    Args:
        folder: from a stranger.
        allow_factory: as in ``Ticket.load``.

    Raises:
        OwnershipError: a file is missing or damaged, or they do not belong together.
    """
    bundle = check_release(folder)
    try:
        ticket = Ticket.load(Path(folder) / TICKET_NAME, allow_factory=allow_factory)
    except TicketError as error:
        raise OwnershipError(str(error)) from error
    return Claim(bundle, ticket)


def check_claim(claim: Claim) -> None:
    """Check that the ticket of a release is the one that the owner has described.

    Raises:
        OwnershipError: masks, tensors, fingerprint, live channels or architecture are others.
    """
    release, ticket = claim.bundle.release, claim.ticket
    if release is None:
        raise OwnershipError("the credential has no release, so there is nothing to compare a suspect with")
    said = {
        "masks": (fingerprint_tensors(ticket.masks), release.marked_masks),
        "tensors": (fingerprint_tensors(ticket.state), release.tensors),
        "fingerprint": (ticket.fingerprint, release.ticket),
        "live channels": (fingerprint_live(ticket.masks), claim.bundle.commitment.code.live),
        "model": (ticket.header.spec.name, claim.bundle.commitment.model),
        "architecture": (
            fingerprint(ticket.header.spec.model_dump(mode="json")),
            claim.bundle.commitment.spec,
        ),
    }
    for what, (found, signed) in said.items():
        if found != signed:
            raise OwnershipError(f"the {what} of the ticket are not those that its owner signed")


def open_as_owner(
    claim: Claim, key: OwnerKey, images: ImageSplits | None = None, options: SignatureOptions | None = None
) -> Opened:
    """Open a claim with the owner's key.

    Args:
        claim: the owner's own.
        key: the owner's.
        images: to draw the first trigger set again; None leaves the triggers out.
        options: of the signature, which say what the sets are like.

    Raises:
        OwnershipError: the claim was made with another key, or the trigger sets of these images and options
            are not those that were committed to.
    """
    mask_key = find_secrets(key, claim.bundle.commitment).mask_key
    if images is None or options is None:
        return Opened(mask_key, by_owner=True)
    return Opened(mask_key, _draw_committed(claim, key, images, options)[0], by_owner=True)


def open_by_disclosure(claim: Claim, disclosure: Disclosure) -> Opened:
    """Open a claim with what its owner has revealed.

    Raises:
        OwnershipError: what is revealed is not what the owner committed to.
    """
    check_disclosure(disclosure, claim.bundle, claim.ticket.header.spec.num_classes)
    return Opened(disclosure.mask_key, disclosure.triggers)


def disclose(
    claim: Claim, key: OwnerKey, images: ImageSplits, options: SignatureOptions, *, number: int
) -> Disclosure:
    """Reveal the key of the mark and one trigger set of the owner's claim.

    Args:
        claim: the owner's own.
        key: the owner's.
        images: those the ticket was signed with.
        options: of the signature.
        number: of the trigger set, 0 to 3. All were trained; show one that nobody has seen.

    Raises:
        OwnershipError: as ``open_as_owner``.
    """
    sets = _draw_committed(claim, key, images, options)
    return make_disclosure(claim.bundle, find_secrets(key, claim.bundle.commitment), sets, number)


def _draw_committed(
    claim: Claim, key: OwnerKey, images: ImageSplits, options: SignatureOptions
) -> list[TriggerSet]:
    commitment = claim.bundle.commitment
    sets = draw_triggers(find_secrets(key, commitment), images, options)
    if merkle_root([one.leaf() for one in sets]).hex() != commitment.trigger_root:
        raise OwnershipError(
            "the trigger sets of these images and options are not those that the credential commits to"
        )
    return sets
