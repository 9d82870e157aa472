import hashlib
import json
from datetime import UTC, datetime

import pytest

from lottery_pipeline.ownership.chain_log import append, read_log
from lottery_pipeline.ownership.credential import (
    Bundle,
    make_bundle,
    parse_bundle,
    read_bundle,
    sign_commitment,
    sign_release,
    with_release,
)
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.statements import Code, payload_of
from tests.ownership.owners import TICKET, chain, make_commitment, make_key, make_published, make_release, sha

KEY = make_key()
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_credential_grows_from_commitment_to_release(tmp_path):
    signed = sign_commitment(make_commitment(KEY), KEY)
    append(tmp_path / "log", signed.digest, MAY)
    committed = make_bundle(signed, log=read_log(tmp_path / "log"))
    assert (committed.release, committed.ticket_sha256, committed.release_time) == (None, None, None)
    assert committed.commitment_time == MAY

    released = sign_release(make_release(committed), sha("file"), KEY)
    append(tmp_path / "log", released.digest, MAY.replace(month=6))
    published = with_release(committed, released, log=read_log(tmp_path / "log"))

    assert published.commitment == committed.commitment == make_commitment(KEY)
    assert published.release == make_release(committed)
    assert published.ticket_sha256 == sha("file")
    assert (published.commitment_time, published.release_time) == (MAY, MAY.replace(month=6))
    assert published.public_key == KEY.public_key


def test_hashes_are_those_of_the_signed_bytes():
    bundle = make_published()
    statement = bundle.commitment_envelope.payload

    assert bundle.commitment_digest == hashlib.sha256(statement).hexdigest()
    assert bundle.payload == payload_of(statement)
    assert (
        bundle.log[1].digest == hashlib.sha256(statement + bundle.commitment_envelope.signature).hexdigest()
    )


def test_a_credential_reads_back_and_is_the_same_bytes_every_time(tmp_path):
    for bundle in (make_published(), make_published(logged=False)):
        assert bundle.to_bytes() == make_published(logged=bool(bundle.log)).to_bytes()
        assert parse_bundle(bundle.to_bytes()) == bundle
        (tmp_path / "credential.json").write_bytes(bundle.to_bytes())
        assert read_bundle(tmp_path / "credential.json") == bundle


def test_a_credential_may_be_laid_out_for_people():
    bundle = make_published()
    assert parse_bundle(json.dumps(json.loads(bundle.to_bytes()), indent=2).encode()) == bundle


def test_stamps_are_kept():
    committed = make_bundle(sign_commitment(make_commitment(KEY), KEY), token=b"abc")
    released = sign_release(make_release(committed), sha("file"), KEY)
    bundle = parse_bundle(with_release(committed, released, log=(), token=b"def").to_bytes())

    assert (bundle.commitment_token, bundle.release_token) == (b"abc", b"def")
    assert json.loads(bundle.to_bytes())["stamps"] == {"commitment": "YWJj", "release": "ZGVm"}


def test_nobody_signs_for_another():
    with pytest.raises(OwnershipError, match="another public key"):
        sign_commitment(make_commitment(KEY), make_key(2))
    bundle = make_published()
    released = sign_release(make_release(bundle), sha("file"), make_key(2))
    with pytest.raises(OwnershipError, match="another key"):
        with_release(bundle, released, log=())


def test_a_credential_that_does_not_hold_cannot_be_made():
    first, second = make_published(), make_published(nonce=sha("other"))
    with pytest.raises(OwnershipError, match="another commitment"):
        Bundle(first.commitment_envelope, second.release_envelope)
    with pytest.raises(OwnershipError, match="does not hold the commitment"):
        make_bundle(first.commitment_envelope, log=second.log)
    with pytest.raises(OwnershipError, match="does not continue"):
        make_bundle(first.commitment_envelope, log=first.log[1:])
    with pytest.raises(OwnershipError, match="no release"):
        Bundle(first.commitment_envelope, release_token=b"abc")
    with pytest.raises(OwnershipError, match="65536 bytes"):
        make_bundle(first.commitment_envelope, token=bytes(2**16 + 1))


def test_every_whitening_that_was_granted_may_be_taken_and_no_other():
    code = Code(groups=(("a", 1),), live=sha("live"), grinding_bits=0)
    committed = make_bundle(sign_commitment(make_commitment(KEY, code=code), KEY))
    for trial, allowed in ((0, True), (1, False)):
        released = sign_release(make_release(committed, grinding_trial=trial), sha("file"), KEY)
        if allowed:
            assert with_release(committed, released, log=()).release.grinding_trial == trial
        else:
            with pytest.raises(OwnershipError, match="whitening"):
                with_release(committed, released, log=())


def test_a_credential_has_a_megabyte_at_most():
    signed = sign_commitment(make_commitment(KEY), KEY)
    rows = [("2026-05-01T00:00:00Z", sha(str(number))) for number in range(4000)]
    log = chain([*rows, ("2026-05-02T00:00:00Z", signed.digest.hex())])
    with pytest.raises(OwnershipError, match="1048576 bytes"):
        make_bundle(signed, log=log)
    assert make_bundle(signed, log=chain([*rows[:3000], ("2026-05-02T00:00:00Z", signed.digest.hex())])).log


def test_the_largest_code_fits():
    groups = tuple((f"{'x' * 60}{number:04}", 2**20) for number in range(4096))
    commitment = make_commitment(KEY, code=Code(groups=groups, live=sha("live"), grinding_bits=16))
    bundle = make_bundle(sign_commitment(commitment, KEY))
    assert parse_bundle(bundle.to_bytes()).commitment.code.groups == groups


def test_the_ticket_of_the_tests_is_the_released_one():
    assert make_published().ticket_sha256 == hashlib.sha256(TICKET).hexdigest()
