import base64
import hashlib
from copy import deepcopy

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.ownership.envelope import (
    MAX_PAYLOAD,
    PAYLOAD_TYPE,
    decode_base64,
    encode_base64,
    pae,
    parse_envelope,
    seal,
    verify,
)
from lottery_pipeline.ownership.errors import OwnershipError
from tests.ownership.owners import make_key
from tests.ownership.test_curve import SMALL_ORDER

ORDER = 2**252 + 27742317777372353535851937790883648493


def open_envelope(envelope, public_key):
    parsed = parse_envelope(envelope)
    verify(parsed, public_key)
    return parsed.payload


@pytest.fixture
def sealed():
    return seal(b'{"a":1}', make_key())


def test_the_example_of_the_dsse_protocol():
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected


@given(
    st.lists(
        st.tuples(st.text("a 1", max_size=3), st.binary(max_size=3)), min_size=2, max_size=2, unique=True
    )
)
def test_different_messages_have_different_encodings(pair):
    assert pae(*pair[0]) != pae(*pair[1])


def test_what_is_sealed_opens_with_the_public_key_only(sealed):
    assert open_envelope(sealed, make_key().public_key) == b'{"a":1}'
    assert set(sealed) == {"payload", "payloadType", "signatures"}
    assert sealed["signatures"][0]["keyid"] == hashlib.sha256(make_key().public_key).hexdigest()
    with pytest.raises(OwnershipError, match="another key"):
        open_envelope(sealed, make_key(2).public_key)


def test_the_library_verifies_the_signature_over_the_encoding(sealed):
    signature = base64.b64decode(sealed["signatures"][0]["sig"])
    signed = b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}'
    key = Ed25519PublicKey.from_public_bytes(make_key().public_key)
    key.verify(signature, signed)
    with pytest.raises(InvalidSignature):
        key.verify(signature, b'{"a":1}')


def test_a_stamp_is_of_payload_and_signature(sealed):
    envelope = parse_envelope(sealed)
    signature = base64.b64decode(sealed["signatures"][0]["sig"])

    assert envelope.stamped == b'{"a":1}' + signature
    assert envelope.digest == hashlib.sha256(b'{"a":1}' + signature).digest()
    assert envelope.to_record() == sealed


def test_every_flipped_bit_of_the_signature_is_found(sealed):
    signature = bytearray(base64.b64decode(sealed["signatures"][0]["sig"]))
    for bit in range(0, 512, 7):
        damaged, changed = deepcopy(sealed), bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        damaged["signatures"][0]["sig"] = encode_base64(bytes(changed))
        with pytest.raises(OwnershipError, match="not the owner's"):
            open_envelope(damaged, make_key().public_key)


def test_the_same_signature_in_other_words_is_refused(sealed):
    signature = base64.b64decode(sealed["signatures"][0]["sig"])
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    sealed["signatures"][0]["sig"] = encode_base64(signature[:32] + scalar.to_bytes(32, "little"))

    with pytest.raises(OwnershipError, match="not the owner's"):
        open_envelope(sealed, make_key().public_key)


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_forgery_under_a_point_of_small_order_is_refused(sealed, point):
    key = bytes.fromhex(point)
    sealed["signatures"][0] = {
        "keyid": hashlib.sha256(key).hexdigest(),
        "sig": encode_base64(bytes.fromhex(SMALL_ORDER[0]) + bytes(32)),
    }
    with pytest.raises(OwnershipError, match="prime-order"):
        open_envelope(sealed, key)


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("payload"),
        lambda record: record.pop("payloadType"),
        lambda record: record.pop("signatures"),
        lambda record: record.update(extra="x"),
        lambda record: record.update(payload=["x"]),
        lambda record: record.update(payloadType="application/json"),
        lambda record: record.update(payloadType=1),
        lambda record: record.update(signatures=[]),
        lambda record: record.update(signatures=record["signatures"] * 2),
        lambda record: record.update(signatures="x"),
        lambda record: record["signatures"][0].pop("keyid"),
        lambda record: record["signatures"][0].update(extra="x"),
        lambda record: record["signatures"][0].update(sig=5),
        lambda record: record["signatures"][0].update(sig=encode_base64(bytes(63))),
        lambda record: record["signatures"][0].update(sig=encode_base64(bytes(65))),
        lambda record: record.update(payload=encode_base64(bytes(MAX_PAYLOAD + 1))),
    ],
)
def test_an_envelope_of_another_form_is_refused(sealed, damage):
    damage(sealed)
    with pytest.raises(OwnershipError):
        open_envelope(sealed, make_key().public_key)


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_what_is_not_an_envelope_is_refused(value):
    with pytest.raises(OwnershipError, match="an envelope must hold"):
        open_envelope(value, make_key().public_key)


@pytest.mark.parametrize(
    "text", ["YQ", "YQ=", "YQ==\n", " YQ==", "YR==", "YQ==YQ==", "Y-_=", "YQ=a", "ä", "YQ===="]
)
def test_base64_in_any_other_form_is_refused(text):
    with pytest.raises(OwnershipError, match="base64"):
        decode_base64(text, most=10, what="value")


def test_a_large_payload_is_not_sealed():
    seal(bytes(MAX_PAYLOAD), make_key())
    with pytest.raises(OwnershipError, match="larger"):
        seal(bytes(MAX_PAYLOAD + 1), make_key())


def test_the_payload_type_is_that_of_in_toto(sealed):
    assert PAYLOAD_TYPE == "application/vnd.in-toto+json" == sealed["payloadType"]
