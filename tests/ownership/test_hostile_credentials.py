import hashlib
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.ownership.credential import parse_bundle, read_bundle
from lottery_pipeline.ownership.errors import OwnershipError
from tests.ownership.forger import PARTS, payload_in, resigned, sound_record
from tests.ownership.hostile import forge_bundles
from tests.ownership.owners import make_published

SOUND = make_published(logged=False)
CONTENT = SOUND.to_bytes()


def test_over_a_hundred_and_twenty_forgeries_end_in_one_sentence_each_for_its_reason():
    forgeries = forge_bundles()
    faults = {}
    for name, content, reason in forgeries:
        try:
            parse_bundle(content)
            faults[name] = "accepted"
        except OwnershipError as error:
            said = str(error)
            if "\n" in said or len(said) > 500 or not re.search(reason, said):
                faults[name] = said
        except BaseException as error:
            faults[name] = repr(error)

    assert faults == {}
    assert len({content for _, content, _ in forgeries}) > 120


def test_the_forger_makes_sound_credentials_if_nothing_is_forged():
    for part in PARTS:
        parsed = parse_bundle(resigned(part, payload_in(sound_record(), part)))
        assert parsed == make_published()


@pytest.mark.parametrize("name", ["a message", "a folder", "a pipe", "nothing"])
@pytest.mark.timeout(5)
def test_what_is_not_a_credential_file_is_refused_by_name(tmp_path, name):
    path = tmp_path / name
    if name == "a message":
        path.write_text(json.dumps({"from": "a@example.com"}))
    elif name == "a folder":
        path.mkdir()
    elif name == "a pipe":
        os.mkfifo(path)
    with pytest.raises(OwnershipError, match=name):
        read_bundle(path)


def test_a_large_file_is_not_read(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OwnershipError, match="large has more than the 1048576 bytes"):
        read_bundle(tmp_path / "large")


def test_a_release_under_another_name_is_not_taken_for_a_credential_without_one():
    with pytest.raises(OwnershipError, match="unknown field"):
        parse_bundle(CONTENT.replace(b'"release":', b'"relaese":', 1))


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found_wherever_it_is(place, change):
    damaged = bytearray(CONTENT)
    damaged[place] ^= change
    try:
        parsed = parse_bundle(bytes(damaged))
    except OwnershipError:
        return
    assert parsed == SOUND  # the last byte is a line end, which may be any blank
    assert place == len(CONTENT) - 1


@given(st.binary(max_size=200))
def test_noise_is_no_credential(noise):
    with pytest.raises(OwnershipError):
        parse_bundle(noise)


def test_no_two_credentials_say_the_same_in_other_words():
    digests = {hashlib.sha256(payload_in(sound_record(), part)).hexdigest() for part in PARTS}
    assert digests == {
        make_published().commitment_digest,
        hashlib.sha256(SOUND.release_envelope.payload).hexdigest(),
    }
