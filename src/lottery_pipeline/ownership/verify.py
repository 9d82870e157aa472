"""Verification: a suspect, a claim, and one verdict with every check that led to it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from lottery_pipeline.ownership.answers import Ask
from lottery_pipeline.ownership.claims import Claim, Opened, check_claim
from lottery_pipeline.ownership.commitment import hash_key
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.mask_code import Evidence, read_mark
from lottery_pipeline.ownership.significance import adjust
from lottery_pipeline.ownership.signing import mark_of
from lottery_pipeline.ownership.suspect import Suspect
from lottery_pipeline.ownership.times import Stamp, stamped_times
from lottery_pipeline.ownership.triggers import TriggerEvidence, TriggerSet, score_triggers
from lottery_pipeline.surgery.channels import find_known_groups

OWNED, AUTHENTIC, NOT_SHOWN, REFUSED = "owned", "authentic release", "not shown", "refused"
# A credential may ask for more evidence, but not for less: keys that pass a low bar can be found by trying.
LEAST_STAMPED, LEAST_UNSTAMPED = 40, 64  # bits
# Readings that need a reference which was committed to too late: asked for, refused, and paid for.
_REFUSED_READINGS = 16


@dataclass
class _Verdict:
    """The checks so far."""

    checks: list[dict[str, Any]] = field(default_factory=list)

    def note(self, check: str, passed: bool | None, says: str) -> bool:
        self.checks.append({"check": check, "passed": passed, "says": says})
        return passed is not False


def verify_claim(
    claim: Claim,
    suspect: Suspect | None,
    *,
    opened: Opened | None = None,
    ask: Ask | None = None,
    seen: datetime | None = None,
    roots: Sequence[bytes] = (),
    known_entry: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Judge whether a suspect is the owner's ticket, or was made from it.

    Args:
        claim: checked by ``read_claim``.
        suspect: its weights, for the white-box checks; None if only its predictions are known.
        opened: the secrets; None checks only whether the suspect is the published file itself.
        ask: gives the suspect's predictions, for the trigger check; from ``ask_model`` or ``ask_table``.
        seen: when the suspect was public for the first time; None takes it to be now.
        roots: root certificates (PEM) of trusted time-stamping authorities.
        known_entry: hash of an entry of the owner's log that the verifier knows from elsewhere, and that is
            older than the suspect; None if he knows none.
        now: the time of the verification.

    Returns:
        Plain JSON: ``verdict`` (``owned``, ``authentic release``, ``not shown``, ``refused``), ``sentence``,
        ``bits`` and ``alpha_bits``, the ``checks`` one by one, ``mask_code`` and ``triggers`` in numbers.

    Raises:
        OwnershipError: the claim does not hold in itself, a time stamp is not valid, or the secrets are not
            those of the claim.
    """
    check_claim(claim)
    now = now or datetime.now(UTC)
    appeared = seen or now
    verdict = _Verdict()
    verdict.note("credential", True, "signatures, log and ticket of the release agree")
    times = stamped_times(claim.bundle, roots)
    in_time = _judge_time(verdict, "commitment", times.commitment, appeared)
    aligned = _judge_time(verdict, "release", times.release, appeared)
    commitment = claim.bundle.commitment
    if opened is not None:
        _check_opened(opened, claim)
        aligned = aligned and _trust_release(verdict, claim, times.release, opened, known_entry)
    if times.commitment is not None and times.commitment.kind == "rfc3161":
        alpha = max(LEAST_STAMPED, commitment.alpha_stamped)
    else:
        alpha = max(LEAST_UNSTAMPED, commitment.alpha_unstamped)
    same_file = suspect is not None and suspect.sha256 == claim.bundle.ticket_sha256
    if suspect is not None:
        says = "the suspect is the published file" if same_file else "the suspect is not the published file"
        verdict.note("same file", same_file or None, says)
    mask_code = triggers = None
    if opened is not None and suspect is not None:
        mask_code = _read_mask_code(verdict, claim, suspect, opened.mask_key, aligned=aligned, alpha=alpha)
    if opened is not None and opened.triggers is not None and ask is not None:
        triggers = _ask_triggers(verdict, claim, opened.triggers, ask, alpha=alpha)
    found = [test.bits for test in (mask_code, triggers) if test is not None]
    # Whoever takes the better of two tests has tried twice.
    bits = adjust(max(found), tries_log2=math.log2(len(found))) if found else 0.0
    if not in_time:
        word = REFUSED
    elif opened is not None and bits >= alpha:
        word = OWNED
    else:
        # Anybody can publish somebody else's file again. Once a claim is opened, its mark must be in there.
        word = AUTHENTIC if same_file and opened is None else NOT_SHOWN
    return {
        "verdict": word,
        "sentence": _say(word, claim, times.release, bits=bits, alpha=alpha, opened=opened is not None),
        "bits": bits,
        "alpha_bits": alpha,
        "owner": commitment.owner,
        "public_key": commitment.public_key,
        "commitment": claim.bundle.commitment_digest,
        "committed": _show(times.commitment),
        "released": _show(times.release),
        "suspect_seen": None if seen is None else seen.isoformat(),
        "verified": now.isoformat(timespec="seconds"),
        "suspect_sha256": None if suspect is None else suspect.sha256,
        "checks": verdict.checks,
        "mask_code": None if mask_code is None else _describe(mask_code),
        "triggers": None if triggers is None else asdict(triggers),
    }


def find_mark(claim: Claim, suspect: Suspect, mask_key: bytes, *, aligned: bool) -> Evidence:
    """Look for the mark of a claim in a suspect.

    Args:
        claim: the owner's.
        suspect: its weights.
        mask_key: K_mask.
        aligned: whether channels may be aligned to the released ticket. If not, the readings that this would
            have allowed are paid for all the same.
    """
    ticket = claim.ticket
    return read_mark(
        suspect.weights,
        mark_of(claim.bundle, mask_key),
        ticket.masks,
        reference={name: ticket.state[name] for name in ticket.masks} if aligned else None,
        channels=find_known_groups(ticket.build()),
        charged_tries=0 if aligned else _REFUSED_READINGS,
    )


def _judge_time(verdict: _Verdict, what: str, stamp: Stamp | None, appeared: datetime) -> bool:
    name = f"{what} in time"
    if stamp is None:
        says = f"nothing dates the {what}, so it may have been made after the suspect appeared"
        return verdict.note(name, False, says)
    early = stamp.time <= appeared
    kind = "a time-stamping authority" if stamp.kind == "rfc3161" else "the owner's own log"
    relation = "before" if early else "after"
    says = f"{kind} dates the {what} {stamp.time.isoformat()}, {relation} the suspect appeared"
    return verdict.note(name, early, says)


def _check_opened(opened: Opened, claim: Claim) -> None:
    commitment = claim.bundle.commitment
    if hash_key(opened.mask_key) != commitment.mask_key:
        raise OwnershipError("the key of the mark is not the one that the owner committed to")
    if opened.triggers is not None and hash_key(opened.triggers.key) not in commitment.trigger_keys:
        raise OwnershipError("the key of the trigger set is not one of those that the owner committed to")


def _trust_release(
    verdict: _Verdict, claim: Claim, stamp: Stamp | None, opened: Opened, known_entry: str | None
) -> bool:
    """Return whether the date of a release is good enough to align channels to its ticket.

    A reference made after the suspect fits any key. The owner knows his own log to be true. Others do not, as
    it can be written anew, unless they know an entry from elsewhere: that dates it and all before it.
    """
    if stamp is None or stamp.kind == "rfc3161" or opened.by_owner:
        return True
    says = "only the owner's own log dates the release, which proves nothing to others"
    for entry in reversed(claim.bundle.log):
        if entry.entry == known_entry:
            return verdict.note("release dated by others", True, "the log is known from elsewhere")
        if claim.bundle.release_envelope and entry.digest == claim.bundle.release_envelope.digest.hex():
            break
    return verdict.note("release dated by others", False, says)


def _read_mask_code(
    verdict: _Verdict, claim: Claim, suspect: Suspect, mask_key: bytes, *, aligned: bool, alpha: int
) -> Evidence:
    found = find_mark(claim, suspect, mask_key, aligned=aligned)
    best = found.best
    says = (
        f"{best.matches} of {best.counted} groups show the key's symbol, by chance 1 of 8 would: "
        f"{found.bits:.0f} bits after {found.tries} readings were paid for, {alpha} are needed"
    )
    if not aligned:
        says += "; channels were not aligned, because the release is not proved to be older than the suspect"
    verdict.note("mask code detected", found.bits >= alpha, says)
    says = "the payload of the credential was read, byte by byte" if found.decoded else "no payload was read"
    verdict.note("mask code decoded", found.decoded, says)
    return found


def _ask_triggers(
    verdict: _Verdict, claim: Claim, triggers: TriggerSet, ask: Ask, *, alpha: int
) -> TriggerEvidence:
    images, bases = ask(triggers)
    found = score_triggers(images, bases, triggers, claim.ticket.header.spec.num_classes)
    says = (
        f"{found.hits} of {found.counted} trigger images get the key's label, chance is {found.chance:.3f}: "
        f"{found.bits:.0f} bits, {alpha} are needed"
    )
    verdict.note("triggers", found.bits >= alpha, says)
    return found


def _describe(found: Evidence) -> dict[str, Any]:
    return {**asdict(found.best), "tries": found.tries, "groups": found.groups}


def _show(stamp: Stamp | None) -> dict[str, str] | None:
    return None if stamp is None else {"time": stamp.time.isoformat(), "kind": stamp.kind}


def _say(word: str, claim: Claim, release: Stamp | None, *, bits: float, alpha: int, opened: bool) -> str:
    owner = claim.bundle.commitment.owner
    if word == REFUSED:
        return "The claim is refused: its key is not known to be older than the suspect."
    if word == OWNED:
        found = f"The suspect was made from the ticket of {owner}: {bits:.0f} bits of evidence."
        if release is None:
            return found
        day = release.time.isoformat()
        return f"{found} This holds if neither it nor what it was made from was public before {day}."
    if word == AUTHENTIC:
        return f"The suspect is the file that {owner} published."
    if not opened:
        return (
            "The suspect is not the published file; whether it was made from it only a disclosure can tell."
        )
    return (
        f"It is not shown that the suspect was made from the ticket of {owner}: {bits:.0f} of {alpha} bits."
    )
