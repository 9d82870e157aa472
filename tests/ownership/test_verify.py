import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.ownership.answers import ask_model, ask_table, predict_with
from lottery_pipeline.ownership.attacks.equivalence import permute
from lottery_pipeline.ownership.attacks.extraction import extract_student
from lottery_pipeline.ownership.attacks.forger import Forger
from lottery_pipeline.ownership.attacks.pruning import prune_magnitude
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.claims import Claim, Opened
from lottery_pipeline.ownership.commitment import find_secrets
from lottery_pipeline.ownership.credential import make_bundle, with_release
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.time_stamp import request_stamp
from lottery_pipeline.ownership.verify import find_mark, verify_claim
from lottery_pipeline.training.loop import train
from tests.ownership.authority import make_certificates, serve
from tests.ownership.owners import chain, sha
from tests.ownership.test_claims import committed_as
from tests.ownership.tiny_claims import (
    RECIPE,
    date,
    tiny_claim,
    tiny_dense,
    tiny_images,
    tiny_ticket,
    train_tiny,
    undated,
)

BEFORE, BETWEEN = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC)
AFTER = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def signed():
    return tiny_claim()


@pytest.fixture(scope="module")
def opened(signed):
    return signed.opened()


@pytest.fixture(scope="module")
def disclosed(opened):
    """What somebody else knows after a disclosure."""
    return replace(opened, by_owner=False)


@pytest.fixture(scope="module")
def victim(signed):
    return Victim(signed.claim.ticket, tiny_images(), RECIPE, 0, "cpu")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, serve(tmp_path_factory.mktemp("authority")) as running:
        patch.setenv("no_proxy", "127.0.0.1")
        yield running


@pytest.fixture(scope="module")
def roots(authority):
    return [authority.root.read_bytes()]


@pytest.fixture(scope="module")
def stamped(signed, authority) -> Claim:
    """The claim with stamps of an authority, and no log."""
    bundle = signed.claim.bundle
    tokens = [
        request_stamp(envelope.stamped, authority.url, timeout=20)
        for envelope in (bundle.commitment_envelope, bundle.release_envelope)
    ]
    committed = make_bundle(bundle.commitment_envelope, token=tokens[0])
    return replace(
        signed.claim, bundle=with_release(committed, bundle.release_envelope, log=(), token=tokens[1])
    )


def suspect_of(state, claim, **given):
    return gather_suspect(state, claim.ticket, **given)


def hits(count):
    """Answers that give so many of the trigger images the key's label."""

    def ask(triggers):
        wrong = (triggers.labels + 1) % 10
        return torch.where(torch.arange(len(triggers)) < count, triggers.labels, wrong), None

    return ask


def checks_of(found):
    return {row["check"]: row["passed"] for row in found["checks"]}


def test_the_published_file_is_owned_and_every_check_is_told(signed, opened):
    sha256 = signed.claim.bundle.ticket_sha256
    suspect = suspect_of(signed.claim.ticket.state, signed.claim, sha256=sha256)
    found = verify_claim(signed.claim, suspect, opened=opened, seen=AFTER, now=AFTER)
    assert (found["verdict"], found["bits"], found["alpha_bits"]) == ("owned", 382.0, 64)
    assert found["sentence"] == (
        "The suspect was made from the ticket of Zoë Example: 382 bits of evidence. This holds if neither it "
        "nor what it was made from was public before 2026-05-04T11:45:10+00:00."
    )
    assert checks_of(found) == {
        "credential": True,
        "commitment in time": True,
        "release in time": True,
        "same file": True,
        "mask code detected": True,
        "mask code decoded": True,
    }
    assert found["committed"] == {"time": "2026-05-02T09:30:00+00:00", "kind": "log"}
    assert found["released"] == {"time": "2026-05-04T11:45:10+00:00", "kind": "log"}
    assert (found["suspect_seen"], found["suspect_sha256"]) == ("2026-06-01T00:00:00+00:00", sha256)
    assert (found["owner"], found["triggers"]) == ("Zoë Example", None)
    assert found["mask_code"]["matches"] == found["mask_code"]["counted"] == 128


def test_without_secrets_only_the_published_file_is_known(signed):
    sha256 = signed.claim.bundle.ticket_sha256
    same = verify_claim(signed.claim, suspect_of(signed.claim.ticket.state, signed.claim, sha256=sha256))
    assert (same["verdict"], same["bits"]) == ("authentic release", 0.0)
    assert same["sentence"] == "The suspect is the file that Zoë Example published."
    other = verify_claim(signed.claim, suspect_of(signed.claim.ticket.state, signed.claim))
    assert other["verdict"] == "not shown"
    assert "only a disclosure can tell" in other["sentence"]
    assert other["mask_code"] is None


def test_nothing_at_all_shows_nothing(signed, opened):
    found = verify_claim(signed.claim, None, opened=opened)
    assert (found["verdict"], found["bits"], found["suspect_sha256"]) == ("not shown", 0.0, None)


def test_a_copy_with_other_channels_is_owned_after_alignment(signed, opened, victim):
    copy = permute(victim, scope="all").state_dict()
    found = verify_claim(signed.claim, suspect_of(copy, signed.claim), opened=opened, seen=AFTER)
    assert (found["verdict"], found["mask_code"]["aligned"]) == ("owned", True)
    assert found["bits"] == 382 - 16
    assert found["mask_code"]["tries"] == 4


def test_a_pruned_copy_is_owned(signed, opened, victim):
    copy = prune_magnitude(victim, share=0.3).state_dict()
    found = verify_claim(signed.claim, suspect_of(copy, signed.claim), opened=opened)
    assert found["verdict"] == "owned"
    assert found["mask_code"]["counted"] <= 128


def test_the_verdict_is_plain_json_without_secrets(signed, opened):
    secrets = find_secrets(signed.key, signed.claim.bundle.commitment)
    private = signed.key.private_key.private_bytes_raw()
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    ask = ask_model(predict_with(signed.claim.ticket.build()))
    found = verify_claim(signed.claim, suspect, opened=opened, ask=ask, seen=AFTER)
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    assert found["triggers"]["counted"] == 100
    for secret in (secrets.mask_key, signed.key.secret, private, *secrets.trigger_keys):
        assert secret.hex() not in text
        assert str(list(secret))[1:-1] not in text
        assert str(secret)[2:-1] not in text


# When things existed.


@pytest.mark.parametrize(
    ("seen", "verdict", "commitment", "release"),
    [
        (AFTER, "owned", True, True),
        (datetime(2026, 5, 4, 11, 45, 10, tzinfo=UTC), "owned", True, True),  # the very second
        (BETWEEN, "owned", True, False),
        (BEFORE, "refused", False, False),
        (None, "owned", True, True),
    ],
)
def test_commitment_and_release_must_be_older_than_the_suspect(
    seen, verdict, commitment, release, signed, opened
):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    found = verify_claim(signed.claim, suspect, opened=opened, seen=seen)
    assert found["verdict"] == verdict
    assert checks_of(found)["commitment in time"] == commitment
    assert checks_of(found)["release in time"] == release


def test_times_of_other_zones_are_compared_as_moments(signed, opened):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    east = datetime.fromisoformat("2026-05-02T11:00:00+02:00")  # 09:00 in UTC, before the commitment
    assert verify_claim(signed.claim, suspect, opened=opened, seen=east)["verdict"] == "refused"


def test_a_late_release_is_not_aligned_to_and_pays_for_it(signed, opened, victim):
    copy = permute(victim, scope="all").state_dict()
    found = verify_claim(signed.claim, suspect_of(copy, signed.claim), opened=opened, seen=BETWEEN)
    assert (found["verdict"], found["mask_code"]["aligned"]) == ("not shown", False)
    assert found["mask_code"]["tries"] == 2 + 16
    assert "channels were not aligned" in found["checks"][-2]["says"]


def test_a_claim_that_nothing_dates_is_refused(signed, opened):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    found = verify_claim(undated(signed.claim), suspect, opened=opened)
    assert found["verdict"] == "refused"
    assert found["sentence"] == "The claim is refused: its key is not known to be older than the suspect."
    assert (found["committed"], found["released"], found["alpha_bits"]) == (None, None, 64)


def test_an_authority_lowers_the_bar(signed, opened, stamped, roots):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    found = verify_claim(stamped, suspect, opened=opened, roots=roots)
    assert (found["verdict"], found["alpha_bits"], found["committed"]["kind"]) == ("owned", 40, "rfc3161")
    seen = datetime.now(UTC) - timedelta(hours=1)
    assert verify_claim(stamped, suspect, opened=opened, roots=roots, seen=seen)["verdict"] == "refused"


def test_who_trusts_no_authority_has_no_date(signed, opened, stamped):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    assert verify_claim(stamped, suspect, opened=opened)["verdict"] == "refused"


def test_a_stamp_of_a_strange_authority_is_an_error(signed, opened, stamped, tmp_path):
    stranger = [make_certificates(tmp_path / "stranger").read_bytes()]
    with pytest.raises(OwnershipError, match="trusted"):
        verify_claim(stamped, None, opened=opened, roots=stranger)


# Whose word dates the release.


def test_an_owner_trusts_his_own_log_and_others_do_not(signed, opened, disclosed, victim):
    """Whoever can rewrite a log can make a reference that shows any mark; see the attack A20."""
    copy = suspect_of(permute(victim, scope="all").state_dict(), signed.claim)
    assert verify_claim(signed.claim, copy, opened=opened, seen=AFTER)["verdict"] == "owned"
    found = verify_claim(signed.claim, copy, opened=disclosed, seen=AFTER)
    assert (found["verdict"], found["mask_code"]["aligned"]) == ("not shown", False)
    assert checks_of(found)["release dated by others"] is False
    assert found["mask_code"]["tries"] == 2 + 16


def test_others_trust_an_authority(signed, disclosed, stamped, roots, victim):
    copy = suspect_of(permute(victim, scope="all").state_dict(), signed.claim)
    found = verify_claim(stamped, copy, opened=disclosed, roots=roots)
    assert (found["verdict"], found["mask_code"]["aligned"]) == ("owned", True)
    assert "release dated by others" not in checks_of(found)


@pytest.mark.parametrize(
    ("place", "verdict"),
    [(1, "owned"), (0, "not shown"), (None, "not shown"), ("0" * 64, "not shown")],
    ids=["the release", "the commitment", "none", "another log"],
)
def test_others_trust_a_log_of_which_they_know_an_entry(place, verdict, signed, disclosed, victim):
    """It must be the entry of the release or a later one: one before says nothing of what came after."""
    log = signed.claim.bundle.log
    known = log[place].entry if isinstance(place, int) else place
    copy = suspect_of(permute(victim, scope="all").state_dict(), signed.claim)
    found = verify_claim(signed.claim, copy, opened=disclosed, seen=AFTER, known_entry=known)
    assert found["verdict"] == verdict
    assert checks_of(found)["release dated by others"] == (verdict == "owned")


def test_a_later_entry_dates_the_release_as_well(signed, disclosed, victim):
    bundle = signed.claim.bundle
    rows = [(entry.time, entry.digest) for entry in bundle.log] + [("2026-05-05T00:00:00Z", sha("later"))]
    claim = replace(signed.claim, bundle=replace(bundle, log=chain(rows)))
    copy = suspect_of(permute(victim, scope="all").state_dict(), claim)
    known = claim.bundle.log[-1].entry
    assert verify_claim(claim, copy, opened=disclosed, known_entry=known)["verdict"] == "owned"


def test_in_its_own_order_the_mark_needs_no_trust(signed, disclosed):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    found = verify_claim(signed.claim, suspect, opened=disclosed, seen=AFTER)
    assert found["verdict"] == "owned"
    assert found["bits"] == pytest.approx(384 - torch.log2(torch.tensor(18.0)).item())


# How much evidence is needed.


@pytest.mark.parametrize(("count", "verdict"), [(36, "not shown"), (37, "owned")])
def test_37_of_100_triggers_prove_a_stamped_claim(count, verdict, opened, stamped, roots):
    found = verify_claim(stamped, None, opened=opened, ask=hits(count), roots=roots)
    assert (found["verdict"], found["triggers"]["hits"], found["alpha_bits"]) == (verdict, count, 40)
    assert found["bits"] == found["triggers"]["bits"]


@pytest.mark.parametrize(("count", "verdict"), [(45, "not shown"), (46, "owned")])
def test_46_of_100_triggers_prove_a_claim_that_is_only_logged(count, verdict, signed, opened):
    found = verify_claim(signed.claim, None, opened=opened, ask=hits(count), seen=AFTER)
    assert (found["verdict"], found["alpha_bits"]) == (verdict, 64)


@pytest.mark.parametrize(("count", "verdict"), [(37, "not shown"), (38, "owned")])
def test_the_better_of_two_tests_pays_a_bit(count, verdict, opened, stamped, roots):
    stranger = suspect_of(tiny_dense(1).final, stamped)
    found = verify_claim(stamped, stranger, opened=opened, ask=hits(count), roots=roots)
    assert (found["verdict"], found["mask_code"]["bits"] < 20) == (verdict, True)
    assert found["bits"] == found["triggers"]["bits"] - 1


def test_triggers_alone_do_not_excuse_a_late_commitment(signed, opened):
    found = verify_claim(signed.claim, None, opened=opened, ask=hits(100), seen=BEFORE)
    assert found["verdict"] == "refused"


@pytest.mark.parametrize(
    ("changes", "alpha"),
    [
        ({"alpha_stamped": 20, "alpha_unstamped": 20}, 64),
        ({"alpha_stamped": 20, "alpha_unstamped": 64}, 64),
        ({"alpha_unstamped": 100}, 100),
    ],
)
def test_a_credential_may_ask_for_more_evidence_but_not_for_less(changes, alpha, signed, opened):
    claim = committed_as(signed, **changes)
    claim = replace(claim, bundle=date(claim.bundle))
    assert verify_claim(claim, None, opened=opened, ask=hits(30))["alpha_bits"] == alpha


def test_nor_may_a_stamped_one(signed, opened, authority, roots):
    bundle = committed_as(signed, alpha_stamped=20, alpha_unstamped=20).bundle
    token = request_stamp(bundle.commitment_envelope.stamped, authority.url, timeout=20)
    low = with_release(make_bundle(bundle.commitment_envelope, token=token), bundle.release_envelope, log=())
    found = verify_claim(replace(signed.claim, bundle=low), None, opened=opened, ask=hits(30), roots=roots)
    assert (found["alpha_bits"], found["verdict"]) == (40, "not shown")
    assert found["bits"] > 20


# Asking a suspect.


def test_a_model_is_asked_for_classes(signed, opened):
    model = signed.claim.ticket.build()
    images, bases = ask_model(predict_with(model))(opened.triggers)
    with torch.no_grad():
        assert torch.equal(images, model.eval()(opened.triggers.images / 255).argmax(1))
    assert bases is None


def test_a_table_is_as_good_as_a_model(signed, opened):
    ask = ask_model(predict_with(signed.claim.ticket.build()))
    table = {"prediction": ask(opened.triggers)[0].tolist(), "remark": ["x"]}
    first, second = (
        verify_claim(signed.claim, None, opened=opened, ask=one, now=AFTER) for one in (ask, ask_table(table))
    )
    assert first == second


def test_stamped_images_are_asked_with_their_bases(opened):
    bases = opened.triggers.images
    pattern = replace(opened.triggers, family="pattern", bases=bases)
    asked = []
    ask = ask_model(lambda images: asked.append(images) or torch.zeros(len(images), dtype=torch.int64))
    ask(pattern)
    assert [id(images) for images in asked] == [id(pattern.images), id(pattern.bases)]
    columns = {"prediction": [0] * 100, "base_prediction": [1] * 100}
    assert [answers.tolist() for answers in ask_table(columns)(pattern)] == list(columns.values())
    with pytest.raises(OwnershipError, match="base_prediction with 100 whole numbers"):
        ask_table({"prediction": [0] * 100})(pattern)


@pytest.mark.parametrize(
    "column",
    [None, [], [0] * 99, [0] * 101, [0.0] * 100, [True] * 100, ["0"] * 100, [None] * 100, [[0]] * 100],
    ids=lambda column: str(column)[:12],
)
def test_a_table_with_other_content_is_refused(column, signed, opened):
    table = {} if column is None else {"prediction": column}
    with pytest.raises(OwnershipError, match="need a column prediction with 100 whole numbers"):
        verify_claim(signed.claim, None, opened=opened, ask=ask_table(table))


def test_answers_that_are_not_classes_are_misses(signed, opened):
    table = {"prediction": [-1, 10, 2**62] + [-5] * 97}
    found = verify_claim(signed.claim, None, opened=opened, ask=ask_table(table))
    assert (found["triggers"]["hits"], found["verdict"]) == (0, "not shown")


# Whose secrets.


def test_another_key_is_refused(signed, opened):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    for key in (bytes(32), opened.triggers.key):
        with pytest.raises(OwnershipError, match="key of the mark is not the one"):
            verify_claim(signed.claim, suspect, opened=Opened(key))


def test_other_triggers_are_refused(signed, opened):
    others = replace(opened.triggers, key=bytes(32))
    with pytest.raises(OwnershipError, match="key of the trigger set is not one of those"):
        verify_claim(signed.claim, None, opened=replace(opened, triggers=others), ask=hits(100))


def test_a_claim_that_does_not_hold_is_an_error(signed, opened):
    claim = replace(signed.claim, ticket=train_tiny(tiny_ticket(), seed=1))
    with pytest.raises(OwnershipError, match="not those that its owner signed"):
        verify_claim(claim, None, opened=opened)


def test_who_publishes_the_file_of_another_owns_nothing(signed, opened):
    """Opened, such a claim is not even called an authentic release."""
    rival = Forger(signed.claim, opened, signed.claim.ticket.state, 0, 1)
    claim = rival.publish(rival.commit(rival.mask_key))
    suspect = suspect_of(signed.claim.ticket.state, claim, sha256=signed.claim.bundle.ticket_sha256)
    assert verify_claim(claim, suspect)["verdict"] == "authentic release"
    found = verify_claim(claim, suspect, opened=Opened(rival.mask_key, by_owner=True))
    assert (found["verdict"], found["bits"] < 20) == ("not shown", True)
    assert checks_of(found)["same file"] is True


# Networks that are like the owner's and have no mark.


def _same_start_other_order():
    dense = tiny_dense()
    model = build_model(dense.spec, seed=0)
    model.load_state_dict(dense.initial)
    return train(model, tiny_images(), RECIPE, seed=99, device="cpu").state


def _distilled(victim):
    return extract_student(victim, labels="soft", queries=200).state_dict()


STRANGERS = {
    "the ticket before it was signed, trained": lambda _: train_tiny(tiny_ticket()).state,
    "another ticket of the same parent": lambda _: train_tiny(tiny_ticket(by="initial")).state,
    "a denser ticket of the same parent": lambda _: train_tiny(tiny_ticket(0.4)).state,
    "the dense parent": lambda _: tiny_dense().final,
    "the same start in another order": lambda _: _same_start_other_order(),
    "another seed, dense": lambda _: tiny_dense(1).final,
    "a ticket of another seed": lambda _: train_tiny(tiny_ticket(seed=1)).state,
    "a distilled student": _distilled,
    "the same ticket with another owner's mark": lambda _: tiny_claim(2).claim.ticket.state,
    "all ones": lambda victim: {n: torch.ones_like(t) for n, t in victim.ticket.state.items()},
    "all zeros": lambda victim: {n: torch.zeros_like(t) for n, t in victim.ticket.state.items()},
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_never_owned(name, signed, opened, victim):
    state = STRANGERS[name](victim)
    found = verify_claim(
        signed.claim,
        suspect_of(state, signed.claim),
        opened=opened,
        ask=ask_model(predict_with(suspect_of(state, signed.claim).model)),
    )
    assert found["verdict"] == "not shown"
    assert found["mask_code"]["bits"] < 10
    assert not found["mask_code"]["decoded"]
    assert found["triggers"]["bits"] < 10


def test_a_mark_is_found_by_its_own_key_alone(signed, opened):
    suspect = suspect_of(signed.claim.ticket.state, signed.claim)
    assert find_mark(signed.claim, suspect, opened.mask_key, aligned=True).bits == 382
    wrong = [find_mark(signed.claim, suspect, bytes([i]) * 32, aligned=True) for i in range(20)]
    assert max(found.bits for found in wrong) < 10
