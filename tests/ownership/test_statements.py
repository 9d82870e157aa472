import hashlib
import json

import pytest
from pydantic import ValidationError

from lottery_pipeline.ownership.canonical_json import encode
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.statements import (
    Code,
    commitment_bytes,
    parse_commitment,
    parse_release,
    payload_of,
    release_bytes,
)
from tests.ownership.owners import make_commitment, make_key, make_published, make_release, sha
from tests.ownership.test_curve import SMALL_ORDER

KEY = make_key()


def changed(statement, path, value):
    """Return a canonical statement with one value replaced or added."""
    record = json.loads(statement)
    place = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return encode(record)


def test_a_commitment_is_an_in_toto_statement_about_the_unmarked_masks():
    record = json.loads(commitment_bytes(make_commitment(KEY)))

    assert set(record) == {"_type", "subject", "predicateType", "predicate"}
    assert record["_type"] == "https://in-toto.io/Statement/v1"
    assert record["subject"] == [{"name": "unmarked-masks", "digest": {"sha256": sha("unmarked masks")}}]
    assert record["predicateType"] == "urn:lottery-pipeline:ownership:commitment:v1"
    assert record["predicate"]["alpha_stamped"] == 40
    assert record["predicate"]["alpha_unstamped"] == 64
    assert record["predicate"]["code"]["groups"] == [["layer2.0.conv1", 24], ["layer3.0.conv2", 120]]
    assert record["predicate"]["code"]["reference"] == "aligned"


def test_a_release_is_a_statement_about_the_ticket_file():
    record = json.loads(release_bytes(make_release(make_published()), sha("file")))

    assert record["subject"] == [{"name": "ticket.safetensors", "digest": {"sha256": sha("file")}}]
    assert record["predicateType"] == "urn:lottery-pipeline:ownership:release:v1"
    assert record["predicate"]["accuracy_ppm"] == 952_646


def test_statements_read_back():
    commitment, release = make_commitment(KEY), make_release(make_published())

    assert parse_commitment(commitment_bytes(commitment)) == commitment
    assert parse_release(release_bytes(release, sha("file"))) == (release, sha("file"))


def test_the_payload_is_the_head_of_a_hash_of_the_statement():
    statement = commitment_bytes(make_commitment(KEY))

    assert payload_of(statement) == hashlib.sha256(b"LTOWN1" + statement).digest()[:16]
    assert payload_of(statement) != payload_of(commitment_bytes(make_commitment(KEY, nonce=sha("other"))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("predicate", "positions"), [[0, 1]]),
        (("predicate", "code", "positions"), [[0, 1]]),
        (("predicate", "code", "cells"), ["layer2.0.conv1"]),
        (("predicate", "code", "groups"), [["layer2.0.conv1", 24, 7]]),
        (("predicate", "code", "groups"), [["layer2.0.conv1", [3, 9]]]),
        (("predicate", "code", "groups"), [["a", 1], ["a", 2]]),
        (("predicate", "code", "groups"), []),
        (("predicate", "code", "groups"), [["a", 0]]),
        (("predicate", "code", "groups"), [["a\u00e4", 1]]),
        (("predicate", "code", "groups"), [[f"layer{index}", 1] for index in range(4097)]),
        (("predicate", "code", "grinding_bits"), 17),
        (("predicate", "code", "grinding_bits"), -1),
        (("predicate", "code", "reference"), "free"),
        (("predicate", "alpha_stamped"), 19),
        (("predicate", "alpha_stamped"), 65),
        (("predicate", "alpha_unstamped"), 129),
        (("predicate", "alpha_unstamped"), 39),
        (("predicate", "alpha_unstamped"), "64"),
        (("predicate", "trigger_keys"), ["0" * 64] * 3),
        (("predicate", "trigger_keys"), ["0" * 64] * 5),
        (("predicate", "owner"), "x" * 201),
        (("predicate", "model"), ""),
        (("predicate", "public_key"), SMALL_ORDER[4]),
        (("predicate", "public_key"), "02" + "0" * 62),
        (("predicate", "unmarked_masks"), "1" * 64),
        (("predicate", "version"), 1),
        (("subject", 0, "name"), "ticket.safetensors"),
        (("subject", 0, "digest", "sha256"), "1" * 64),
        (("subject", 0, "digest", "md5"), "1" * 32),
        (("subject", 0, "uri"), "http://example.com"),
        (("subject",), []),
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("predicateType",), "urn:lottery-pipeline:ownership:release:v1"),
        (("extra",), "x"),
    ],
)
def test_a_commitment_with_one_thing_wrong_is_refused(path, value):
    with pytest.raises(OwnershipError):
        parse_commitment(changed(commitment_bytes(make_commitment(KEY)), path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("predicate", "accuracy_ppm"), 1_000_001),
        (("predicate", "accuracy_ppm"), -1),
        (("predicate", "grinding_trial"), 65_536),
        (("predicate", "commitment"), "x"),
        (("predicate", "positions"), []),
        (("subject", 0, "name"), "other.safetensors"),
        (("subject", 0, "digest", "sha256"), "1" * 63),
    ],
)
def test_a_release_with_one_thing_wrong_is_refused(path, value):
    with pytest.raises(OwnershipError):
        parse_release(changed(release_bytes(make_release(make_published()), sha("file")), path, value))


def test_a_statement_without_a_field_is_refused_even_if_the_field_has_a_default():
    record = json.loads(commitment_bytes(make_commitment(KEY)))
    for field in list(record["predicate"]):
        damaged = record | {"predicate": {k: v for k, v in record["predicate"].items() if k != field}}
        with pytest.raises(OwnershipError, match=r"wrong|lacks a field"):
            parse_commitment(encode(damaged))


def test_a_statement_that_is_not_canonical_is_refused():
    statement = commitment_bytes(make_commitment(KEY))
    record = json.loads(statement)
    loose = (
        json.dumps(record, sort_keys=True, ensure_ascii=False).encode(),
        json.dumps(dict(reversed(record.items())), separators=(",", ":"), ensure_ascii=False).encode(),
        json.dumps(record, sort_keys=True, separators=(",", ":")).encode(),
        statement + b"\n",
    )
    for text in loose:
        assert json.loads(text) == record
        with pytest.raises(OwnershipError, match="canonical"):
            parse_commitment(text)


def test_one_kind_is_not_read_as_the_other():
    with pytest.raises(OwnershipError, match="predicate type"):
        parse_release(commitment_bytes(make_commitment(KEY)))
    with pytest.raises(OwnershipError, match="predicate type"):
        parse_commitment(release_bytes(make_release(make_published()), sha("file")))


def test_a_record_is_checked_when_it_is_made_and_stays_as_it_is():
    with pytest.raises(ValidationError, match="at least alpha_stamped"):
        make_commitment(KEY, alpha_stamped=80)
    with pytest.raises(ValidationError, match="listed twice"):
        Code(groups=(("a", 1), ("a", 1)), live=sha("live"), grinding_bits=0)
    with pytest.raises(ValidationError, match="frozen"):
        make_commitment(KEY).owner = "somebody else"
