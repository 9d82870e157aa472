"""Forged claims are refused or show nothing; each has a control that shows what it would win elsewhere."""

import re

import pytest
import torch

from lottery_pipeline.ownership.attacks.forged_references import fit_reference
from lottery_pipeline.ownership.attacks.forger import Forger, attempt, hold
from lottery_pipeline.ownership.attacks.forging import FORGERIES, try_forgeries
from lottery_pipeline.ownership.carriers import fingerprint_live, plan_groups
from lottery_pipeline.ownership.claims import Claim, Opened
from lottery_pipeline.ownership.mask_code import Mark, read_mark
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.verify import OWNED, verify_claim
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from tests.ownership.attacks.victims import draw_trained, logits_of
from tests.ownership.marks import key_of
from tests.ownership.tiny_claims import tiny_claim
from tests.tiny import draw_images

IMPOSSIBLE = "copied QR code"  # LeNet has no layer for one


@pytest.fixture(scope="module")
def signed():
    return tiny_claim()


@pytest.fixture(scope="module")
def rows(signed):
    found = try_forgeries(signed.claim, signed.opened(), signed.claim.ticket.state, seed=0, keys=64)
    return {row["forgery"]: row for row in found}


@pytest.fixture
def forger(signed):
    return Forger(signed.claim, signed.opened(), signed.claim.ticket.state, 0, 16)


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forgery_is_accepted(name, rows):
    row = rows[name]
    assert row["accepted"] == 0
    assert (row["tries"] > 0) == (name != IMPOSSIBLE)
    assert row["most_bits"] < 20
    assert row["says"].endswith(".")


@pytest.mark.parametrize(
    ("name", "tries", "says"),
    [
        ("random keys", 64, r"The best of 64 keys shows \d+ of \d+ groups: .* the best of so many 6\.0"),
        ("best of all keys", 64, "not shown that the suspect was made from the ticket of forger"),
        ("ground whitenings", 64, "not shown"),
        ("free positions", 3, "is unknown"),
        (IMPOSSIBLE, 0, "no layer has 29 x 29 kernels"),
        ("changed commitment", 64, "refused"),
        ("signed by another key", 2, "not shown"),
        ("swapped key of the mark", 2, "not the one that the owner committed to"),
        ("changed times", 3, "A log written anew holds"),
        ("reference chosen afterwards", 1, r"would show \d\d\d bits.*not shown"),
        ("reference dated back", 1, r"would show \d\d\d bits.*not shown"),
        ("commitment made afterwards", 1, r"would show \d\d\d bits.*its key is not known to be older"),
        ("replayed release", 1, "names another key"),
        ("another owner's release", 1, "not shown"),
    ],
)
def test_each_forgery_fails_for_its_own_reason(name, tries, says, rows):
    assert rows[name]["tries"] == tries
    assert re.search(says, rows[name]["says"])


def test_the_same_seed_forges_the_same(signed, rows):
    again = try_forgeries(signed.claim, signed.opened(), signed.claim.ticket.state, seed=0, keys=64)
    assert {row["forgery"]: row for row in again} == rows


def test_a_reference_made_afterwards_would_win_if_its_date_were_believed(forger):
    """The control of three rows: with the trust that an owner has in his own log, the forger is believed."""
    claim = forger.publish(forger.fitted.commitment, ticket=forger.fitted.ticket)
    suspect = gather_suspect(forger.state, claim.ticket)
    own = Opened(forger.mask_key, by_owner=True)
    believed = verify_claim(claim, suspect, opened=own, seen=forger.seen, now=forger.seen)
    assert (believed["verdict"], believed["mask_code"]["aligned"]) == (OWNED, True)
    assert believed["bits"] == forger.fitted.bits
    late = forger.publish(forger.fitted.commitment, ticket=forger.fitted.ticket, days_before=(2, -1))
    refused = verify_claim(late, suspect, opened=own, seen=forger.seen, now=forger.seen)
    assert (refused["verdict"], refused["mask_code"]["aligned"]) == ("not shown", False)
    assert refused["mask_code"]["tries"] == 2 + 16  # LeNet has no kernels to turn


def test_a_fitted_reference_computes_the_same_and_keeps_the_live_channels(forger):
    suspect = hold(forger.claim.ticket, forger.state)
    fitted = forger.fitted.ticket
    assert torch.allclose(logits_of(suspect.build(), side=10), logits_of(fitted.build(), side=10), atol=1e-5)
    assert fingerprint_live(fitted.masks) == fingerprint_live(suspect.masks)
    assert fitted.fingerprint != suspect.fingerprint


def test_more_swaps_make_a_better_reference(signed):
    ticket = signed.claim.ticket
    mark = Mark(key_of(7), bytes(16), dict(signed.claim.bundle.commitment.code.groups))
    bits = []
    for swaps in (0, 200, 2000):
        fitted = hold(ticket, fit_reference(ticket, mark, seed=0, swaps=swaps))
        weights = {name: fitted.state[name] for name in fitted.masks}
        bits.append(read_mark(weights, mark, fitted.masks).bits)
    assert bits[0] < 10 < bits[1] < bits[2]


def test_a_forger_signs_what_holds_as_a_credential(forger):
    claim = forger.publish(forger.commit(forger.mask_key))
    assert isinstance(claim, Claim)
    assert claim.bundle.commitment.alpha_unstamped == 20
    assert claim.bundle.commitment.owner == "forger"
    assert claim.bundle.release_time < forger.seen
    assert attempt(lambda: claim.bundle).accepted


def test_the_owner_himself_is_believed(forger):
    """The control of the swapped keys: with the right one, the same path gives the verdict."""
    assert forger.present(forger.claim, forger.opened.mask_key).accepted


def test_a_copied_qr_code_is_no_evidence(signed):
    """It needs a network with room for a code; the claim on that is made up."""
    ticket, key = draw_trained(draw_images(side=8), "resnet20", density=0.2), key_of(5)
    owner = Forger(signed.claim, signed.opened(), ticket.state, 1, 1)
    groups = tuple(plan_groups(ticket.masks, 128).items())
    commitment = owner.commit(key, groups=groups, live=fingerprint_live(ticket.masks))
    spec = fingerprint(ticket.header.spec.model_dump(mode="json"))
    changes = {"model": "resnet20", "spec": spec}
    claim = owner.publish(commitment.model_copy(update=changes), ticket=ticket)
    row = FORGERIES["copied QR code"](Forger(claim, Opened(key), ticket.state, 0, 1))
    assert (row["tries"], row["accepted"]) == (1, 0)
    assert row["most_bits"] < 20
    assert row["says"].startswith("The code says 'signature', as anybody can write. It is not shown")
