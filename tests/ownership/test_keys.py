import errno
import hashlib
import hmac
import json
import logging
import os
import pickle
import stat
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.keys import (
    OwnerKey,
    create_key_file,
    credential_salt,
    derive_key,
    read_key_file,
)
from tests.ownership.owners import make_key, sha

SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"  # RFC 8032, section 7.1, test 1


def write_key(path, **changes):
    fields = {"format": "lottery_pipeline.owner_key", "version": 1, "private_key": SEED, "secret": "ab" * 32}
    path.write_text(
        json.dumps({key: value for key, value in (fields | changes).items() if value is not None})
    )
    path.chmod(0o600)
    return path


def test_the_first_vector_of_rfc_8032(tmp_path):
    key = read_key_file(write_key(tmp_path / "key"))

    assert key.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert (
        key.private_key.sign(b"")
        .hex()
        .startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522")
    )


def test_a_new_key_file_is_for_its_owner_only_and_reads_back(tmp_path):
    path = tmp_path / "folder" / "key.json"
    key = create_key_file(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read = read_key_file(path)
    assert (read.public_key, read.secret) == (key.public_key, key.secret)
    assert len(key.secret) == 32


def test_two_keys_differ(tmp_path):
    first, second = create_key_file(tmp_path / "a"), create_key_file(tmp_path / "b")
    assert first.secret != second.secret
    assert first.public_key != second.public_key
    assert first.secret != first.private_key.private_bytes_raw()


def test_a_key_is_never_overwritten(tmp_path):
    create_key_file(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()

    with pytest.raises(OwnershipError, match="never overwritten"):
        create_key_file(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_a_link_to_nowhere_is_not_followed(tmp_path):
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OwnershipError, match="cannot be made"):
        create_key_file(tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OwnershipError, match="cannot be made"):
        create_key_file(tmp_path / "file" / "key")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602])
def test_a_key_file_that_others_may_use_is_refused(tmp_path, mode):
    path = write_key(tmp_path / "key")
    path.chmod(mode)

    with pytest.raises(OwnershipError, match=f"chmod 600 {path}"):
        read_key_file(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"version": 2},
        {"version": 3, "sha256": "0" * 64},
        {"version": 1, "sha256": "0" * 64},
        {"version": "1"},
        {"private_key": None},
        {"secret": None},
        {"secret": "ab" * 31},
        {"secret": "ab" * 33},
        {"private_key": SEED.upper()},
        {"private_key": "g" * 64},
        {"secret": 5},
        {"extra": "x"},
        {"extra": 1.5},
    ],
)
def test_a_file_that_is_not_a_key_is_refused_without_quoting_it(tmp_path, changes):
    path = write_key(tmp_path / "key", **changes)

    with pytest.raises(OwnershipError, match=f"{path} is not a key file") as caught:
        read_key_file(path)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert SEED not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("field", ["private_key", "secret", "sha256"])
def test_a_key_with_one_wrong_digit_is_damaged_and_not_the_key_of_another(tmp_path, field):
    path = tmp_path / "key"
    create_key_file(path)
    record = json.loads(path.read_text())
    record[field] = ("1" if record[field][0] == "0" else "0") + record[field][1:]
    path.write_text(json.dumps(record))

    with pytest.raises(OwnershipError, match=f"{path} is damaged: its SHA-256 is not that of its content"):
        read_key_file(path)


def test_of_many_that_make_a_key_at_once_one_succeeds_and_all_read_it_whole(tmp_path):
    def make(number):
        with suppress(OwnershipError):
            create_key_file(tmp_path / "key")
        return read_key_file(tmp_path / "key").secret

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(make, range(64)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_key_is_made_where_files_cannot_be_linked(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    key = create_key_file(tmp_path / "key")
    assert read_key_file(tmp_path / "key").secret == key.secret
    with pytest.raises(OwnershipError, match="never overwritten"):
        create_key_file(tmp_path / "key")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", SEED.encode(), b"\xff"])
def test_other_files_are_not_keys(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)

    with pytest.raises(OwnershipError, match="not a key file") as caught:
        read_key_file(tmp_path / "key")
    assert caught.value.__context__ is None


@pytest.mark.timeout(5)
def test_missing_large_and_irregular_files_are_refused(tmp_path):
    write_key(tmp_path / "large", extra="x" * 4096)
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("large", "4096 bytes"),
        ("pipe", "regular"),
        ("absent", "cannot be read"),
        ("", "regular"),
    ):
        with pytest.raises(OwnershipError, match=reason):
            read_key_file(tmp_path / name)


def test_a_key_shows_nothing_of_itself(caplog):
    key = make_key()
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r %s", key, key, {"owner": key})

    shown = f"{key} {key!r} {[key]} {caplog.text}"
    assert "OwnerKey(hidden)" in shown
    for part in (key.secret, key.private_key.private_bytes_raw(), key.public_key):
        assert part.hex() not in shown
        assert repr(part) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_secret_of_another_length_is_refused():
    with pytest.raises(OwnershipError, match="32 bytes"):
        OwnerKey(make_key().private_key, bytes(31))


def test_derived_keys_are_those_of_rfc_5869():
    # The input and the extracted key of appendix A.1; one block of output has 32 bytes.
    secret, salt = bytes([0x0B]) * 22, bytes(range(13))
    extracted = hmac.digest(salt, secret, "sha256")
    assert extracted.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"

    assert derive_key(secret, salt=salt, purpose="mask") == hmac.digest(extracted, b"mask\x01", "sha256")


def test_keys_depend_on_secret_salt_and_purpose():
    keys = {
        derive_key(secret, salt=salt, purpose=purpose)
        for secret in (bytes(32), bytes([1]) * 32)
        for salt in (b"a", b"b")
        for purpose in ("mask", "trigger 0", "trigger 1")
    }
    assert len(keys) == 12
    assert {len(key) for key in keys} == {32}


def test_the_salt_is_the_hash_of_nonce_and_masks():
    masks = sha("masks")
    expected = hashlib.sha256(bytes([7]) * 32 + bytes.fromhex(masks)).digest()

    assert credential_salt(bytes([7]) * 32, masks) == expected


@pytest.mark.parametrize(
    ("nonce", "masks"), [(bytes(31), "a" * 64), (bytes(32), "a" * 62), (bytes(32), "A" * 64)]
)
def test_a_salt_needs_whole_inputs(nonce, masks):
    with pytest.raises(OwnershipError, match="salt"):
        credential_salt(nonce, masks)
