"""Disputes: several claims on one network that all hold, and which of them is the owner's.

Whoever signs a stolen ticket once more has a valid claim, too: his mark is in there. So dates decide between
valid claims. Marks must bear the dates out: the ticket that the later one has released holds both marks, that
of the earlier one only its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from lottery_pipeline.ownership.claims import Claim, Opened
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.verify import OWNED, find_mark

Kind = Literal["rfc3161", "log"]


class Contender(NamedTuple):
    """One who claims the network.

    Attributes:
        claim: his release.
        opened: its secrets.
        verdict: from ``verify_claim`` on the network, given the same roots of authorities as the others'.
    """

    claim: Claim
    opened: Opened
    verdict: Mapping[str, Any]


def settle(contenders: Sequence[Contender]) -> dict[str, Any]:
    """Tell which of several claims on one network is the owner's.

    Only claims with the verdict ``owned`` count. The earliest commitment wins. If an authority has stamped
    any of them, only stamps count, because a log can be written anew with other times. The winner must not
    have released a ticket that holds the mark of an earlier release.

    Args:
        contenders: at least one.

    Returns:
        Plain JSON: ``winner``, its place in the list, or None if nobody wins; ``dated_by`` (``rfc3161``,
        ``log``, or None); ``marks``, for each contender the places of the others whose mark is in the ticket
        that he released; ``sentence``.

    Raises:
        OwnershipError: there is no claim, or a verdict belongs to another one.
    """
    if not contenders:
        raise OwnershipError("a dispute needs at least one claim")
    for contender in contenders:
        if contender.verdict["commitment"] != contender.claim.bundle.commitment_digest:
            raise OwnershipError(f"the verdict on {_name(contender)} belongs to another claim")
    valid = {place: one for place, one in enumerate(contenders) if one.verdict["verdict"] == OWNED}
    kind = _choose_kind(valid.values())
    marks = [
        [other for other in valid if other != place and _holds(one, valid[other], kind)]
        if place in valid
        else []
        for place, one in enumerate(contenders)
    ]
    winner, sentence = _decide(contenders, valid, kind, marks)
    return {"winner": winner, "dated_by": kind, "marks": marks, "sentence": sentence}


def _decide(
    contenders: Sequence[Contender],
    valid: Mapping[int, Contender],
    kind: Kind | None,
    marks: Sequence[Sequence[int]],
) -> tuple[int | None, str]:
    if not valid:
        return None, "No claim on the network holds."
    if len(valid) == 1:
        [winner] = valid
        return winner, f"Only the claim of {_name(contenders[winner])} holds."
    times = {place: time for place, one in valid.items() if (time := _read_time(one, "committed", kind))}
    first = min(times.values(), default=None)
    earliest = [place for place, time in times.items() if time == first]
    if first is None or len(earliest) > 1:
        return None, "No commitment is known to be the earliest, so the dispute is open."
    [winner] = earliest
    name = _name(contenders[winner])
    others = [place for place in valid if place != winner]
    if taken := [place for place in others if place in marks[winner] and winner not in marks[place]]:
        return None, (
            f"The commitment of {name} is the earliest. But the ticket that {name} released holds the mark "
            f"of {_name(contenders[taken[0]])}, and not the other way round, so the dispute is open."
        )
    who = "a time-stamping authority" if kind == "rfc3161" else "the owners' own logs, which prove little"
    sentence = (
        f"The network is that of {name}, whose commitment is the earliest ({first.isoformat()} by {who})."
    )
    copied = [
        f"{_name(contenders[place])} has released a ticket that holds the mark of {name} as well as its own."
        for place in others
        if winner in marks[place]
    ]
    return winner, " ".join([sentence, *copied])


def _choose_kind(contenders: Iterable[Contender]) -> Kind | None:
    """Return whose dates count: an authority's if there are any."""
    kinds = {one.verdict["committed"]["kind"] for one in contenders if one.verdict["committed"]}
    return "rfc3161" if "rfc3161" in kinds else "log" if kinds else None


def _read_time(contender: Contender, what: str, kind: Kind | None) -> datetime | None:
    stamp = contender.verdict[what]
    return datetime.fromisoformat(stamp["time"]) if stamp is not None and stamp["kind"] == kind else None


def _holds(released: Contender, marked: Contender, kind: Kind | None) -> bool:
    """Whether the ticket that one has released holds the mark of another.

    A mark that was committed to later than the release cannot be shown there. Channels are aligned only to
    what was released before it by an authority's stamp: a reference that is made afterwards shows any mark.
    """
    committed, released_at = _read_time(marked, "committed", kind), _read_time(released, "released", kind)
    if committed is None or (released_at is not None and committed >= released_at):
        return False
    reference = _read_time(marked, "released", kind)
    known = kind == "rfc3161" and reference is not None and released_at is not None
    aligned = known and reference < released_at  # type: ignore[operator]
    try:
        suspect = gather_suspect(released.claim.ticket.state, marked.claim.ticket)
    except OwnershipError:  # another architecture
        return False
    found = find_mark(marked.claim, suspect, marked.opened.mask_key, aligned=aligned)
    return bool(found.bits >= marked.verdict["alpha_bits"])


def _name(contender: Contender) -> str:
    owner: str = contender.claim.bundle.commitment.owner
    return owner
