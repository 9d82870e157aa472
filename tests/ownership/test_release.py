import hashlib
import os

import pytest
from model_signing import signing, verifying

from lottery_pipeline.ownership.chain_log import read_log
from lottery_pipeline.ownership.credential import Bundle, make_bundle, read_bundle, sign_release, with_release
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.release import RELEASE_FILES, check_release, write_release
from lottery_pipeline.ownership.time_stamp import request_stamp
from tests.ownership.authority import openssl, serve
from tests.ownership.owners import TICKET, make_key, make_published, make_release

PLAIN = {
    "ticket.safetensors",
    "credential.json",
    "chain.jsonl",
    "owner.pem",
    "commitment.pae",
    "commitment.sig",
    "release.pae",
    "release.sig",
}


@pytest.fixture
def folder(tmp_path):
    write_release(tmp_path / "release", TICKET, make_published())
    return tmp_path / "release"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, serve(tmp_path_factory.mktemp("authority")) as running:
        patch.setenv("no_proxy", "127.0.0.1")
        yield running


@pytest.fixture(scope="module")
def stamped(authority):
    bundle = make_published(logged=False)
    tokens = [
        request_stamp(envelope.stamped, authority.url, timeout=20)
        for envelope in (bundle.commitment_envelope, bundle.release_envelope)
    ]
    return Bundle(bundle.commitment_envelope, bundle.release_envelope, (), *tokens)


def flip(path, place=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_release_is_what_the_credential_says(folder):
    assert names(folder) == PLAIN
    assert check_release(folder) == make_published()
    assert (folder / "ticket.safetensors").read_bytes() == TICKET
    assert read_log(folder / "chain.jsonl") == make_published().log
    assert read_bundle(folder / "credential.json") == make_published()


def test_a_release_with_stamps_has_more_files(tmp_path, stamped):
    write_release(tmp_path, TICKET, stamped)

    sides = {f"{part}.{end}" for part in ("commitment", "release") for end in ("tsr", "stamped")}
    assert names(tmp_path) == PLAIN - {"chain.jsonl"} | sides
    assert names(tmp_path) | {"chain.jsonl"} == set(RELEASE_FILES)
    assert check_release(tmp_path) == stamped


@pytest.mark.parametrize("part", ["commitment", "release"])
def test_openssl_verifies_the_signatures(folder, part):
    key = ("-pubin", "-inkey", folder / "owner.pem")
    signed = ("-rawin", "-in", folder / f"{part}.pae", "-sigfile", folder / f"{part}.sig")

    assert openssl("pkeyutl", "-verify", *key, *signed).stdout.strip() == "Signature Verified Successfully"
    flip(folder / f"{part}.pae", 60)
    assert openssl("pkeyutl", "-verify", *key, *signed, check=False).returncode == 1


@pytest.mark.parametrize("part", ["commitment", "release"])
def test_openssl_verifies_the_stamps(tmp_path, stamped, authority, part):
    write_release(tmp_path, TICKET, stamped)
    files = (
        "-data",
        tmp_path / f"{part}.stamped",
        "-in",
        tmp_path / f"{part}.tsr",
        "-CAfile",
        authority.root,
    )

    assert openssl("ts", "-verify", *files).stdout.strip() == "Verification: OK"
    flip(tmp_path / f"{part}.stamped", 5)
    assert openssl("ts", "-verify", *files, check=False).returncode == 1


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_file_that_is_changed_cut_longer_or_missing_is_named(folder, name):
    content = (folder / name).read_bytes()
    for damaged in (
        bytes([content[0] ^ 1]) + content[1:],
        content[:-1] + b"?",
        content[:-2],
        content + b"x",
        b"",
        None,
    ):
        if damaged is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(damaged)
        with pytest.raises(OwnershipError, match=name):
            check_release(folder)
    (folder / name).write_bytes(content)
    assert check_release(folder) == make_published()


@pytest.mark.timeout(5)
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_pipe_in_the_place_of_a_file_does_not_block(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(OwnershipError, match=f"{name} is not a regular file"):
        check_release(folder)


def test_a_file_that_does_not_belong_is_named_and_one_of_others_is_left_alone(folder):
    (folder / "README.md").write_text("Read me.")
    assert check_release(folder) == make_published()

    (folder / "commitment.tsr").write_bytes(b"")
    with pytest.raises(OwnershipError, match=r"commitment\.tsr does not belong"):
        check_release(folder)


def test_a_new_release_leaves_no_file_of_the_old_one(tmp_path, stamped):
    (tmp_path / "README.md").write_text("Read me.")
    write_release(tmp_path, TICKET, stamped)
    write_release(tmp_path, TICKET, make_published())

    assert names(tmp_path) == PLAIN | {"README.md"}
    assert check_release(tmp_path) == make_published()


def test_the_ticket_of_another_release_is_refused(folder):
    other = TICKET + b"!"
    with pytest.raises(OwnershipError, match="another ticket file"):
        write_release(folder, other, make_published())
    assert check_release(folder) == make_published()

    bundle = make_published()
    released = sign_release(make_release(bundle), hashlib.sha256(other).hexdigest(), make_key())
    write_release(folder, other, with_release(bundle, released, log=()))
    (folder / "ticket.safetensors").write_bytes(TICKET)
    with pytest.raises(OwnershipError, match="not the file that the release was signed for"):
        check_release(folder)


def test_only_a_release_is_published(tmp_path, folder):
    committed = make_bundle(make_published().commitment_envelope)
    with pytest.raises(OwnershipError, match="without a release"):
        write_release(tmp_path / "new", TICKET, committed)
    assert not (tmp_path / "new").exists()

    (folder / "credential.json").write_bytes(committed.to_bytes())
    with pytest.raises(OwnershipError, match="has no release"):
        check_release(folder)


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OwnershipError, match="cannot be written"):
        write_release(tmp_path / "file", TICKET, make_published())
    with pytest.raises(OwnershipError, match="cannot be read"):
        check_release(tmp_path / "absent")


def test_openssf_model_signing_signs_the_folder_and_finds_a_changed_byte(tmp_path, folder):
    private, public, signature = tmp_path / "key.pem", tmp_path / "key.pub", tmp_path / "release.sig"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
    openssl("ec", "-in", private, "-pubout", "-out", public)
    signing.Config().use_elliptic_key_signer(private_key=private).sign(folder, signature)

    verifying.Config().use_elliptic_key_verifier(public_key=public).verify(folder, signature)
    flip(folder / "credential.json", 100)
    with pytest.raises(ValueError, match=r"credential\.json"):
        verifying.Config().use_elliptic_key_verifier(public_key=public).verify(folder, signature)
