import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lottery_pipeline.ownership.curve import check_public_key
from lottery_pipeline.ownership.errors import OwnershipError

P = 2**255 - 19
# The eight points of small order: y = 1, y = -1, and two signs each of y = 0 and of the y of order 8.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
BASE = "5866666666666666666666666666666666666666666666666666666666666666"  # the generator, y = 4/5
RFC_8032_1 = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def is_accepted(key):
    try:
        check_public_key(key)
    except OwnershipError:
        return False
    return True


@pytest.mark.parametrize("key", [BASE, RFC_8032_1])
def test_known_keys_are_accepted(key):
    assert is_accepted(bytes.fromhex(key))


@pytest.mark.parametrize("seed", range(5))
def test_keys_of_honest_pairs_are_accepted(seed):
    private_key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    assert is_accepted(private_key.public_key().public_bytes_raw())


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_points_of_small_order_are_refused(key):
    with pytest.raises(OwnershipError, match="prime-order subgroup"):
        check_public_key(bytes.fromhex(key))


def test_the_library_alone_would_accept_one_signature_for_all_messages_under_such_a_point():
    forged = bytes.fromhex(SMALL_ORDER[0]) + bytes(32)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(SMALL_ORDER[0]))
    for message in (b"mine", b"yours"):
        key.verify(forged, message)  # it raises InvalidSignature for any other
    with pytest.raises(InvalidSignature):
        key.verify(bytes.fromhex(BASE) + bytes(32), b"mine")
    assert not is_accepted(bytes.fromhex(SMALL_ORDER[0]))


def test_a_sound_point_plus_one_of_order_two_is_refused():
    # Adding the point (0, -1) turns (x, y) into (-x, -y).
    encoded = int.from_bytes(bytes.fromhex(BASE), "little")
    mixed = (P - encoded) | (1 << 255)

    with pytest.raises(OwnershipError, match="prime-order subgroup"):
        check_public_key(mixed.to_bytes(32, "little"))


@pytest.mark.parametrize(
    "encoded",
    [
        P,  # y = 0, written as p
        P + 1,  # y = 1
        2**255 - 1,
        1 | 1 << 255,  # x = 0 with a sign
        (P - 1) | 1 << 255,
        2,  # (y^2 - 1) / (d y^2 + 1) is not a square
        2 | 1 << 255,
    ],
)
def test_encodings_that_are_not_canonical_or_not_on_the_curve_are_refused(encoded):
    with pytest.raises(OwnershipError, match="canonical encoding"):
        check_public_key(encoded.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_another_length_is_refused(length):
    with pytest.raises(OwnershipError, match=f"32 bytes, not {length}"):
        check_public_key(bytes(length))
