import hashlib
from datetime import UTC, datetime

import pytest

from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.ownership import commitment as module
from lottery_pipeline.ownership.carriers import fingerprint_live, plan_groups
from lottery_pipeline.ownership.chain_log import read_log
from lottery_pipeline.ownership.commitment import (
    Owner,
    commit_ticket,
    date_statement,
    derive_secrets,
    find_secrets,
    hash_key,
)
from lottery_pipeline.ownership.credential import parse_bundle, sign_release, with_release
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from tests.ownership.owners import make_key, make_release, sha
from tests.tiny import draw_ticket

OPTIONS = {"owner": "Zoë Example", "groups": 130}
NONCE = bytes(range(32))


def root_of(secrets) -> bytes:
    return hashlib.sha256(b"".join(secrets.trigger_keys)).digest()


@pytest.fixture(scope="module")
def ticket():
    return draw_ticket(width=4)


@pytest.fixture
def owner(tmp_path):
    return Owner(make_key(), tmp_path / "log" / "chain.jsonl")


def commit(ticket, by, *, stored=None, root=root_of, **changes):
    options = SignatureOptions(**{**OPTIONS, **changes})
    return commit_ticket(ticket, by, options, find_trigger_root=root, stored=stored)


def test_known_keys():
    secrets = derive_secrets(make_key(), nonce=NONCE, unmarked_masks=sha("unmarked masks"))
    assert hash_key(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # HKDF-SHA256 (RFC 5869) by hand: HMAC(HMAC(SHA-256(nonce + masks), secret), "mask" + 0x01).
    assert secrets.mask_key.hex() == "b579d7dab8df52f6ea6a8f045a5c285dd328063e73490f643e4763dc9f0cb559"
    assert len({secrets.mask_key, *secrets.trigger_keys}) == 5
    assert {len(key) for key in (secrets.mask_key, *secrets.trigger_keys)} == {32}


@pytest.mark.parametrize(
    "changes",
    [{"key": make_key(2)}, {"nonce": bytes(32)}, {"unmarked_masks": sha("other masks")}],
    ids=["another owner", "another nonce", "other masks"],
)
def test_keys_depend_on_owner_nonce_and_masks(changes):
    given = {"key": make_key(), "nonce": NONCE, "unmarked_masks": sha("unmarked masks")}
    before, after = (derive_secrets(one.pop("key"), **one) for one in (dict(given), {**given, **changes}))
    assert before.mask_key != after.mask_key
    assert not set(before.trigger_keys) & set(after.trigger_keys)


def test_keys_do_not_show(owner):
    secrets = derive_secrets(owner.key, nonce=NONCE, unmarked_masks=sha("x"))
    for text in (repr(secrets), repr(owner), str(owner)):
        assert secrets.mask_key.hex() not in text
        assert str(secrets.mask_key) not in text


def test_a_commitment_says_what_is_known_before_the_mark(ticket, owner):
    before = datetime.now(UTC).replace(microsecond=0)
    bundle = commit(ticket, owner, grinding_bits=5)
    said = bundle.commitment

    assert (said.owner, said.public_key) == ("Zoë Example", owner.key.public_key.hex())
    assert (said.model, said.unmarked_masks) == ("lenet_300_100", fingerprint_tensors(ticket.masks))
    assert said.spec == fingerprint(ticket.header.spec.model_dump(mode="json"))
    assert dict(said.code.groups) == plan_groups(ticket.masks, 130)
    assert (said.code.live, said.code.grinding_bits) == (fingerprint_live(ticket.masks), 5)
    secrets = find_secrets(owner.key, said)
    assert said.mask_key == hash_key(secrets.mask_key)
    assert said.trigger_keys == tuple(hash_key(key) for key in secrets.trigger_keys)
    assert said.trigger_root == root_of(secrets).hex()
    assert bundle.release is None
    assert before <= bundle.commitment_time <= datetime.now(UTC)
    assert [entry.digest for entry in read_log(owner.log)] == [bundle.commitment_envelope.digest.hex()]
    assert secrets.mask_key.hex().encode() not in bundle.to_bytes()
    assert parse_bundle(bundle.to_bytes()) == bundle


def test_two_commitments_to_one_ticket_have_different_nonces_and_keys(ticket, owner):
    first, second = commit(ticket, owner), commit(ticket, owner)
    assert first.commitment.nonce != second.commitment.nonce
    assert first.commitment.mask_key != second.commitment.mask_key
    assert len(read_log(owner.log)) == 2


def test_a_stored_commitment_that_says_the_same_is_kept_with_its_dates(ticket, owner, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "request_stamp", lambda *stamped, **_: asked.append(stamped) or b"a stamp")
    stored = commit(ticket, owner, time_stamp_url="https://stamps.example")
    log = owner.log.read_bytes()

    again = commit(ticket, owner, stored=stored, time_stamp_url="https://stamps.example")

    assert again == stored
    assert again.commitment_token == b"a stamp"
    assert asked == [(stored.commitment_envelope.stamped, "https://stamps.example")]
    assert owner.log.read_bytes() == log


def test_a_stored_credential_is_kept_without_its_release(ticket, owner):
    stored = commit(ticket, owner)
    envelope = sign_release(make_release(stored, grinding_trial=0), sha("file"), owner.key)
    published = with_release(stored, envelope, **date_statement(envelope, owner, None))

    again = commit(ticket, owner, stored=published)

    assert published.release is not None
    assert again.release is None
    assert again.commitment_envelope == stored.commitment_envelope
    assert again.log == published.log


@pytest.mark.parametrize("changes", [{"margin": 3.0}, {"images_per_class": 5}, {"triggers_per_batch": 3}])
def test_options_that_a_commitment_does_not_hold_leave_it_as_it_is(changes, ticket, owner):
    stored = commit(ticket, owner)
    assert commit(ticket, owner, stored=stored, **changes) == stored


@pytest.mark.parametrize("changes", [{"owner": "Another"}, {"groups": 131}, {"grinding_bits": 1}])
def test_another_option_makes_a_new_commitment(changes, ticket, owner):
    stored = commit(ticket, owner)
    fresh = commit(ticket, owner, stored=stored, **changes)
    assert fresh.commitment.nonce != stored.commitment.nonce
    assert len(fresh.log) == 2


def test_another_ticket_key_or_trigger_set_makes_a_new_commitment(ticket, owner, tmp_path):
    stored = commit(ticket, owner)
    rival = Owner(make_key(2), tmp_path / "rival.jsonl")
    others = [
        commit(draw_ticket(width=4, seed=1), owner, stored=stored),
        commit(ticket, rival, stored=stored),
        commit(ticket, owner, stored=stored, root=lambda secrets: bytes(32)),
    ]
    assert len({stored.commitment.nonce, *(other.commitment.nonce for other in others)}) == 4


def test_the_keys_of_a_stored_commitment_need_the_key_that_made_it(ticket, owner):
    said = commit(ticket, owner).commitment
    assert find_secrets(owner.key, said) == find_secrets(make_key(), said)
    theirs, ours = said.public_key[:12], make_key(2).public_key.hex()[:12]
    with pytest.raises(OwnershipError) as error:
        find_secrets(make_key(2), said)
    assert f"made with another key ({theirs}) than the one at hand ({ours})" in str(error.value)


def test_a_trained_ticket_is_refused(owner):
    trained = draw_ticket(width=4, kind="trained")
    with pytest.raises(OwnershipError, match="this ticket is trained already; sign the ticket it came from"):
        commit(trained, owner)
    assert not owner.log.exists()


def test_a_ticket_without_room_is_refused_before_anything_is_logged(owner):
    full = draw_ticket(width=4)
    masks = {name: mask | True for name, mask in full.masks.items()}
    with pytest.raises(OwnershipError, match="can hold 0 groups of 8 carriers, but the mark needs 130"):
        commit(draw_ticket(width=4, masks=masks), owner)
    assert not owner.log.exists()


def test_a_log_or_an_authority_that_does_not_date_the_commitment_stops_it(ticket, owner, monkeypatch):
    def refuse(*_, **__):
        raise OwnershipError("the authority cannot be reached")

    monkeypatch.setattr(module, "request_stamp", refuse)
    with pytest.raises(OwnershipError, match="the authority cannot be reached"):
        commit(ticket, owner, time_stamp_url="https://stamps.example")
    owner.log.parent.mkdir(exist_ok=True)
    owner.log.write_text("nonsense\n")
    with pytest.raises(OwnershipError):
        commit(ticket, owner)
