import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from lottery_pipeline.options import extras
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.time_stamp import MAX_TOKEN, check_stamp, request_stamp
from tests.ownership.authority import make_certificates, openssl, serve

MESSAGE = b"payload and signature"
DIGEST = hashlib.sha256(MESSAGE).digest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, serve(tmp_path_factory.mktemp("authority")) as running:
        patch.setenv("no_proxy", "127.0.0.1")
        yield running


@pytest.fixture(scope="module")
def token(authority):
    return request_stamp(MESSAGE, authority.url, timeout=20)


@pytest.fixture(scope="module")
def roots(authority):
    return [authority.root.read_bytes()]


def test_a_stamp_tells_the_time(token, roots):
    stamped = check_stamp(token, DIGEST, roots)

    assert stamped.tzinfo is not None
    assert abs(stamped - datetime.now(UTC)) < timedelta(minutes=5)


def test_openssl_verifies_the_same_stamp(tmp_path, token, authority):
    (tmp_path / "token").write_bytes(token)
    for message, expected in ((MESSAGE, 0), (MESSAGE + b"!", 1)):
        (tmp_path / "message").write_bytes(message)
        files = ("-data", tmp_path / "message", "-in", tmp_path / "token", "-CAfile", authority.root)
        assert openssl("ts", "-verify", *files, check=False).returncode == expected


def test_a_stamp_of_something_else_is_refused(token, roots):
    with pytest.raises(OwnershipError, match="something else"):
        check_stamp(token, hashlib.sha256(b"other").digest(), roots)


def test_a_stranger_is_not_trusted(tmp_path, token, roots):
    stranger = make_certificates(tmp_path / "stranger").read_bytes()

    with pytest.raises(OwnershipError, match="not signed by a trusted authority"):
        check_stamp(token, DIGEST, [stranger])
    assert check_stamp(token, DIGEST, [stranger, *roots]) == check_stamp(token, DIGEST, [stranger + roots[0]])


def test_damage_is_refused_or_changes_nothing(token, roots):
    accepted = 0
    stamped = check_stamp(token, DIGEST, roots)
    for place in range(0, len(token), 5):
        damaged = bytearray(token)
        damaged[place] ^= 1 << place % 8
        try:
            assert check_stamp(bytes(damaged), DIGEST, roots) == stamped
            accepted += 1
        except OwnershipError:
            continue
    assert accepted < 8  # a few bytes, such as the unused bits of a version, are not covered by any signature


@pytest.mark.parametrize("cut", [0, 1, 20, 300, -1])
def test_a_cut_stamp_is_refused(token, roots, cut):
    with pytest.raises(OwnershipError, match="not a valid answer"):
        check_stamp(token[:cut], DIGEST, roots)


def test_a_refusal_is_no_stamp(roots):
    with pytest.raises(OwnershipError, match="refused"):
        check_stamp(bytes.fromhex("30053003020102"), DIGEST, roots)


def test_a_long_stamp_is_not_parsed(roots):
    with pytest.raises(OwnershipError, match="65536 bytes"):
        check_stamp(bytes(MAX_TOKEN + 1), DIGEST, roots)


@pytest.mark.parametrize(
    "bad", [[], [b""], [b"x"], [b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]]
)
def test_roots_must_be_certificates(token, bad):
    with pytest.raises(OwnershipError, match="certificate"):
        check_stamp(token, DIGEST, bad)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/replay", "answered another request"),
        ("/refuse", "refused"),
        ("/noise", "not a valid answer"),
        ("/long", "sent more than 65536 bytes"),
        ("/slow", "did not finish within 0.3 s"),
        ("/short", "cannot be reached|not a valid answer"),
        ("/move", "status 302"),
        ("/broken", "status 503"),
    ],
)
def test_a_server_that_misbehaves_gives_one_sentence(authority, token, path, reason):
    with pytest.raises(OwnershipError, match=reason):
        request_stamp(MESSAGE, authority.url + path, timeout=0.3 if path == "/slow" else 20)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "must begin with http"),
        ("ftp://127.0.0.1/", "must begin with http"),
        ("127.0.0.1:80", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://[", "cannot be reached"),
        ("http://127.0.0.1:port/", "cannot be reached"),
        ("http://127.0.0.1/a b", "cannot be reached"),
        ("http://127.0.0.1:1/", "cannot be reached"),
    ],
)
def test_an_address_that_leads_nowhere_gives_one_sentence(authority, url, reason):
    with pytest.raises(OwnershipError, match=reason):
        request_stamp(MESSAGE, url, timeout=1)


def test_without_the_extra_the_sentence_says_how_to_get_it(monkeypatch, token, roots):
    monkeypatch.setattr(extras, "find_spec", lambda package: None)
    for call in (
        lambda: check_stamp(token, DIGEST, roots),
        lambda: request_stamp(MESSAGE, "http://127.0.0.1:1/", timeout=1),
    ):
        with pytest.raises(OwnershipError, match=r'pip install "lottery_pipeline\[timestamp\]"'):
            call()
