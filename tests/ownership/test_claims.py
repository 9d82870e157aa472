import hashlib
from dataclasses import replace

import pytest

from lottery_pipeline.ownership.claims import (
    Claim,
    check_claim,
    disclose,
    open_as_owner,
    open_by_disclosure,
    read_claim,
)
from lottery_pipeline.ownership.commitment import find_secrets
from lottery_pipeline.ownership.credential import make_bundle, sign_commitment, sign_release, with_release
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.release import write_release
from lottery_pipeline.sparsity.masks import full_masks
from tests.ownership.owners import make_key, sha
from tests.ownership.tiny_claims import date, dated, tiny_claim, train_tiny, weights_in
from tests.tiny import draw_images, same_bits


@pytest.fixture(scope="module")
def signed():
    return tiny_claim()


@pytest.fixture(scope="module")
def disclosure(signed):
    return disclose(signed.claim, signed.key, signed.images, signed.options, number=0)


def released_as(signed, **changes) -> Claim:
    """The claim with a release that says something else, signed by its owner."""
    bundle = signed.claim.bundle
    release = bundle.release.model_copy(update=changes)
    envelope = sign_release(release, bundle.ticket_sha256, signed.key)
    return replace(signed.claim, bundle=date(with_release(replace(bundle, log=()), envelope, log=())))


def committed_as(signed, **changes) -> Claim:
    """The claim with a commitment that says something else, and a release that belongs to it."""
    bundle = signed.claim.bundle
    committed = make_bundle(sign_commitment(bundle.commitment.model_copy(update=changes), signed.key))
    release = bundle.release.model_copy(update={"commitment": committed.commitment_digest})
    envelope = sign_release(release, bundle.ticket_sha256, signed.key)
    return replace(signed.claim, bundle=with_release(committed, envelope, log=()))


def test_a_release_is_read_as_it_was_published(signed, tmp_path):
    write_release(tmp_path, signed.claim.ticket.to_bytes(), signed.claim.bundle)
    found = read_claim(tmp_path)
    assert found.bundle == signed.claim.bundle
    assert same_bits(found.ticket.state, signed.claim.ticket.state)
    check_claim(found)


def test_a_file_that_is_not_a_ticket_gets_one_sentence(signed, tmp_path):
    bundle = signed.claim.bundle
    digest = hashlib.sha256(b"not a ticket").hexdigest()
    envelope = sign_release(bundle.release, digest, signed.key)
    write_release(tmp_path, b"not a ticket", with_release(replace(bundle, log=()), envelope, log=()))
    with pytest.raises(OwnershipError, match=r"cannot use .*ticket\.safetensors"):
        read_claim(tmp_path)


def test_a_folder_without_a_release_gets_one_sentence(tmp_path):
    with pytest.raises(OwnershipError, match="credential"):
        read_claim(tmp_path)


def test_the_claim_of_an_owner_holds(signed):
    assert check_claim(signed.claim) is None


@pytest.mark.parametrize(
    ("field", "what"), [("marked_masks", "masks"), ("tensors", "tensors"), ("ticket", "fingerprint")]
)
def test_a_release_of_another_ticket_is_refused(field, what, signed):
    claim = released_as(signed, **{field: sha("another")})
    with pytest.raises(OwnershipError, match=f"the {what} of the ticket are not those that its owner signed"):
        check_claim(claim)


def test_a_commitment_to_another_model_is_refused(signed):
    with pytest.raises(OwnershipError, match="the model of the ticket"):
        check_claim(committed_as(signed, model="conv2"))
    with pytest.raises(OwnershipError, match="the architecture of the ticket"):
        check_claim(committed_as(signed, spec=sha("spec")))


def test_a_commitment_to_other_live_channels_is_refused(signed):
    code = signed.claim.bundle.commitment.code.model_copy(update={"live": sha("others")})
    with pytest.raises(OwnershipError, match="the live channels of the ticket"):
        check_claim(committed_as(signed, code=code))


@pytest.mark.parametrize("other", ["retrained", "dense"])
def test_another_ticket_is_not_the_one_that_was_signed(other, signed):
    ticket = train_tiny(signed.unsigned, seed=1)
    if other == "dense":
        ticket = replace(signed.claim.ticket, masks=full_masks(weights_in(signed.claim.ticket)))
    with pytest.raises(OwnershipError, match="not those that its owner signed"):
        check_claim(replace(signed.claim, ticket=ticket))


def test_a_credential_without_a_release_compares_nothing(signed):
    bundle = make_bundle(signed.claim.bundle.commitment_envelope)
    with pytest.raises(OwnershipError, match="no release"):
        check_claim(replace(signed.claim, bundle=bundle))


def test_the_owner_opens_the_claim(signed):
    secrets = find_secrets(signed.key, signed.claim.bundle.commitment)
    opened = open_as_owner(signed.claim, signed.key)
    assert (opened.mask_key, opened.triggers, opened.by_owner) == (secrets.mask_key, None, True)
    full = signed.opened()
    assert (full.mask_key, full.by_owner) == (secrets.mask_key, True)
    assert full.triggers.key == secrets.trigger_keys[0]
    assert len(full.triggers) == 100


def test_triggers_need_both_images_and_options(signed):
    assert open_as_owner(signed.claim, signed.key, images=signed.images).triggers is None
    assert open_as_owner(signed.claim, signed.key, options=signed.options).triggers is None


def test_another_key_opens_nothing(signed):
    with pytest.raises(OwnershipError, match=r"made with another key \(8a88e3dd7409\)"):
        open_as_owner(signed.claim, make_key(2))


@pytest.mark.parametrize(
    ("images", "changes"),
    [
        (draw_images(side=12, counts=(200, 20, 100), classes=10), {}),
        (None, {"trigger_images": 99}),
        (None, {"trigger_family": "pattern", "trigger_images": 50}),
    ],
)
def test_trigger_sets_of_other_images_or_options_are_refused(images, changes, signed):
    options = signed.options.model_copy(update=changes)
    with pytest.raises(OwnershipError, match="not those that the credential commits to"):
        open_as_owner(signed.claim, signed.key, images or signed.images, options)


def test_a_disclosure_opens_the_claim_for_others(signed, disclosure):
    opened, own = open_by_disclosure(signed.claim, disclosure), signed.opened()
    assert (opened.mask_key, opened.by_owner) == (own.mask_key, False)
    assert same_bits(opened.triggers.to_tensors(), own.triggers.to_tensors())


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_each_trigger_set_can_be_revealed_alone(number, signed):
    found = disclose(signed.claim, signed.key, signed.images, signed.options, number=number)
    secrets = find_secrets(signed.key, signed.claim.bundle.commitment)
    assert open_by_disclosure(signed.claim, found).triggers.key == secrets.trigger_keys[number]
    content = found.to_bytes()
    others = [key for place, key in enumerate(secrets.trigger_keys) if place != number]
    assert not any(key in content or key.hex().encode() in content for key in others)


def test_nobody_reveals_the_claim_of_another(signed):
    with pytest.raises(OwnershipError, match="made with another key"):
        disclose(signed.claim, make_key(2), signed.images, signed.options, number=0)


def test_a_disclosure_of_another_claim_opens_nothing(signed, disclosure):
    other = committed_as(signed, owner="Somebody else")
    with pytest.raises(OwnershipError, match="belongs to another credential"):
        open_by_disclosure(other, disclosure)


def test_secrets_do_not_show_in_messages(signed, disclosure):
    opened = signed.opened()
    shown = f"{opened!r} {disclosure!r} {signed.key!r} {opened.triggers!r}"
    assert opened.mask_key.hex() not in shown
    assert str(opened.mask_key) not in shown
    assert str(opened.triggers.key) not in shown


def test_another_log_is_another_credential_of_the_same_claim(signed):
    moved = dated(signed.claim, committed="2020-01-01T00:00:00Z")
    check_claim(moved)
    assert moved.bundle.commitment_digest == signed.claim.bundle.commitment_digest
    assert moved.bundle != signed.claim.bundle
