from datetime import UTC, datetime, timedelta

import pytest

from lottery_pipeline.ownership.credential import make_bundle, sign_release, with_release
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.time_stamp import request_stamp
from lottery_pipeline.ownership.times import Stamp, StampedTimes, stamped_times
from tests.ownership.authority import make_certificates, serve
from tests.ownership.owners import make_key, make_published, make_release, sha

LOGGED = Stamp(datetime(2026, 5, 2, 9, 30, tzinfo=UTC), "log")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, serve(tmp_path_factory.mktemp("authority")) as running:
        patch.setenv("no_proxy", "127.0.0.1")
        yield running


@pytest.fixture(scope="module")
def stamped(authority):
    """A credential of which the commitment is both logged and stamped, and the release only logged."""
    bundle = make_published()
    token = request_stamp(bundle.commitment_envelope.stamped, authority.url, timeout=20)
    committed = make_bundle(bundle.commitment_envelope, token=token)
    return with_release(committed, bundle.release_envelope, log=bundle.log)


def test_the_log_tells_the_times():
    released = Stamp(datetime(2026, 5, 4, 11, 45, 10, tzinfo=UTC), "log")
    assert stamped_times(make_published(), []) == StampedTimes(LOGGED, released)


def test_without_log_and_stamps_nothing_tells_the_times():
    assert stamped_times(make_published(logged=False), []) == StampedTimes(None, None)


def test_an_authority_goes_before_the_log(stamped, authority):
    times = stamped_times(stamped, [authority.root.read_bytes()])

    assert times.commitment.kind == "rfc3161"
    assert abs(times.commitment.time - datetime.now(UTC)) < timedelta(minutes=5)
    assert times.release.kind == "log"


def test_who_trusts_no_authority_goes_by_the_log(stamped):
    assert stamped_times(stamped, []).commitment == LOGGED


def test_a_stamp_of_a_strange_authority_is_refused(stamped, tmp_path):
    stranger = make_certificates(tmp_path / "stranger").read_bytes()
    with pytest.raises(OwnershipError, match="trusted"):
        stamped_times(stamped, [stranger])


def test_the_stamp_of_another_credential_does_not_count(stamped, authority):
    other = make_published(nonce=sha("other"))
    moved = make_bundle(other.commitment_envelope, token=stamped.commitment_token)
    with pytest.raises(OwnershipError, match="something else"):
        stamped_times(moved, [authority.root.read_bytes()])


def test_the_stamp_of_the_commitment_does_not_count_for_the_release(stamped, authority):
    committed = make_bundle(stamped.commitment_envelope)
    released = sign_release(make_release(committed), sha("file"), make_key())
    moved = with_release(committed, released, log=(), token=stamped.commitment_token)
    with pytest.raises(OwnershipError, match="something else"):
        stamped_times(moved, [authority.root.read_bytes()])
