import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lottery_pipeline.ownership.disputes import Contender, settle
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.verify import verify_claim
from lottery_pipeline.tickets.ticket import make_ticket
from tests.ownership.owners import make_key
from tests.ownership.tiny_claims import OPTIONS, dated, sign_tiny, tiny_claim, tiny_images

JUNE, JULY = "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def owner():
    return tiny_claim()


@pytest.fixture(scope="module")
def rival(owner):
    """Somebody who signs the stolen ticket in due form, with a key of his own, and releases it (A19)."""
    stolen = owner.claim.ticket
    ticket = make_ticket(
        method="stolen",
        spec=stolen.header.spec,
        masks=stolen.masks,
        state=stolen.state,
        seed=0,
        rewind_step=0,
        parents={"images": tiny_images().fingerprint},
    )
    dense = replace(owner.dense, initial=stolen.state, rewind=stolen.state, rewind_step=0)
    signed = sign_tiny(ticket, dense, make_key(2), OPTIONS.model_copy(update={"owner": "Rival"}))
    return replace(signed, claim=dated(signed.claim, committed=JUNE, released=JULY))


@pytest.fixture(scope="module")
def suspect(rival):
    """The network that is fought over: it holds both marks."""
    return rival.claim.ticket.state


def contend(signed, state, *, seen=AUGUST, stamped=None, **times):
    """A contender; ``stamped`` says what an authority dates."""
    claim = dated(signed.claim, **times) if times else signed.claim
    found = verify_claim(
        claim, gather_suspect(state, claim.ticket), opened=signed.opened(), seen=seen, now=seen
    )
    if stamped is not None:
        committed, released = stamped
        dates = {"committed": committed, "released": released}
        found |= {what: {"time": time, "kind": "rfc3161"} for what, time in dates.items() if time}
    return Contender(claim, signed.opened(), found)


def test_both_claims_hold_on_the_network_with_two_marks(owner, rival, suspect):
    for signed in (owner, rival):
        assert contend(signed, suspect).verdict["verdict"] == "owned"


def test_the_earlier_commitment_wins_and_the_marks_bear_it_out(owner, rival, suspect):
    found = settle([contend(rival, suspect), contend(owner, suspect)])
    assert (found["winner"], found["dated_by"], found["marks"]) == (1, "log", [[1], []])
    assert found["sentence"] == (
        "The network is that of Zoë Example, whose commitment is the earliest (2026-05-02T09:30:00+00:00 by "
        "the owners' own logs, which prove little). Rival has released a ticket that holds the mark of "
        "Zoë Example as well as its own."
    )
    assert json.loads(json.dumps(found)) == found


def test_the_order_of_the_list_does_not_matter(owner, rival, suspect):
    assert settle([contend(owner, suspect), contend(rival, suspect)])["winner"] == 0


def test_an_authority_goes_before_any_log(owner, rival, suspect):
    """The rival's log says that he was first; the owner has a stamp."""
    back_dated = contend(rival, suspect, committed="2020-01-01T00:00:00Z", released="2020-01-02T00:00:00Z")
    stamped = contend(owner, suspect, stamped=("2026-05-02T10:00:00+00:00", "2026-05-05T10:00:00+00:00"))
    found = settle([back_dated, stamped])
    assert (found["winner"], found["dated_by"], found["marks"]) == (1, "rfc3161", [[1], []])
    assert "by a time-stamping authority" in found["sentence"]


def test_of_two_stamps_the_earlier_wins(owner, rival, suspect):
    first = contend(owner, suspect, stamped=("2026-05-02T10:00:00+00:00", "2026-05-05T10:00:00+00:00"))
    second = contend(rival, suspect, stamped=("2026-06-02T10:00:00+00:00", "2026-07-05T10:00:00+00:00"))
    found = settle([second, first])
    assert (found["winner"], found["marks"]) == (1, [[1], []])


def test_moments_are_compared_and_not_texts(owner, rival, suspect):
    first = contend(owner, suspect, stamped=("2026-05-02T10:00:00+00:00", None))
    second = contend(rival, suspect, stamped=("2026-05-02T09:30:00-03:00", None))
    assert settle([second, first])["winner"] == 1


def test_who_committed_early_and_released_what_he_stole_does_not_win(owner, rival, suspect):
    """He has stamped some commitment in time, waited for a ticket, and signed that."""
    early = contend(rival, suspect, committed="2026-04-01T00:00:00Z", released=JULY)
    found = settle([contend(owner, suspect), early])
    assert (found["winner"], found["marks"]) == (None, [[], [0]])
    assert found["sentence"] == (
        "The commitment of Rival is the earliest. But the ticket that Rival released holds the mark of "
        "Zoë Example, and not the other way round, so the dispute is open."
    )


def test_at_the_same_moment_nobody_wins(owner, rival, suspect):
    same = contend(rival, suspect, committed="2026-05-02T09:30:00Z", released=JULY)
    found = settle([contend(owner, suspect), same])
    assert found["winner"] is None
    assert "No commitment is known to be the earliest" in found["sentence"]


def test_a_claim_that_does_not_hold_does_not_count(owner, rival):
    unmarked = owner.claim.ticket.state  # the rival's mark is not in there
    found = settle([contend(rival, unmarked), contend(owner, unmarked)])
    assert (found["winner"], found["marks"]) == (1, [[], []])
    assert found["sentence"] == "Only the claim of Zoë Example holds."


def test_without_a_claim_that_holds_nobody_wins(owner, rival, suspect):
    early = datetime(2020, 1, 1, tzinfo=UTC)
    found = settle([contend(owner, suspect, seen=early), contend(rival, suspect, seen=early)])
    assert (found["winner"], found["dated_by"], found["sentence"]) == (
        None,
        None,
        "No claim on the network holds.",
    )


def test_three_can_fight(owner, rival, suspect):
    later = contend(rival, suspect, committed=JULY, released="2026-07-02T00:00:00Z")
    found = settle([later, contend(rival, suspect), contend(owner, suspect)])
    assert found["winner"] == 2
    assert found["marks"][2] == []
    assert found["sentence"].count("Rival has released a ticket that holds the mark of Zoë Example") == 2


def test_a_ticket_of_another_architecture_holds_no_mark(owner, rival, suspect, monkeypatch):
    contenders = [contend(owner, suspect), contend(rival, suspect)]

    def refuse(*_args):
        raise OwnershipError("another architecture cannot be read")

    monkeypatch.setattr("lottery_pipeline.ownership.disputes.gather_suspect", refuse)
    found = settle(contenders)
    assert (found["winner"], found["marks"]) == (0, [[], []])
    assert "has released" not in found["sentence"]


def test_channels_are_aligned_only_to_what_an_authority_dates_before(owner, rival, suspect, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "lottery_pipeline.ownership.disputes.find_mark",
        lambda claim, *_args, aligned: (
            asked.append((claim.bundle.commitment.owner, aligned)) or type("Found", (), {"bits": 0.0})
        ),
    )
    stamps = ("2026-05-02T10:00:00+00:00", "2026-05-05T10:00:00+00:00")
    late = ("2026-06-02T10:00:00+00:00", "2026-07-05T10:00:00+00:00")
    settle([contend(owner, suspect, stamped=stamps), contend(rival, suspect, stamped=late)])
    settle([contend(owner, suspect, stamped=stamps), contend(rival, suspect)])
    settle([contend(owner, suspect), contend(rival, suspect)])
    assert asked == [("Zoë Example", True), ("Zoë Example", False), ("Zoë Example", False)]


def test_a_verdict_on_another_claim_is_refused(owner, rival, suspect):
    first, second = contend(owner, suspect), contend(rival, suspect)
    with pytest.raises(OwnershipError, match="the verdict on Zoë Example belongs to another claim"):
        settle([first._replace(verdict=second.verdict), second])


def test_nobody_is_no_dispute():
    with pytest.raises(OwnershipError, match="at least one claim"):
        settle([])
