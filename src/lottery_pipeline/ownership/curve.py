"""Points of edwards25519, the curve of Ed25519, as far as public keys need checking (RFC 8032, section 5.1).

Libraries verify under any 32 bytes. Under a point of small order, one signature fits many messages, so such a
key commits its owner to nothing; under a point with a part of small order, libraries disagree about which
signatures are valid. Honest keys lie in the subgroup of prime order.
"""

from lottery_pipeline.ownership.errors import OwnershipError

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493  # order of the subgroup
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)  # a square root of -1

_Point = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z
_NEUTRAL: _Point = (0, 1, 1, 0)


def check_public_key(key: bytes) -> None:
    """Refuse what is not the public key of an honest Ed25519 key pair.

    Args:
        key: 32 bytes, y in little-endian order with the sign of x in the highest bit.

    Raises:
        OwnershipError: it has another length, is not the canonical encoding of a point, or is a point outside
            the subgroup of prime order (all eight points of small order among them).
    """
    if len(key) != 32:
        raise OwnershipError(f"an Ed25519 public key has 32 bytes, not {len(key)}")
    point = _decode(key)
    if point is None:
        raise OwnershipError("the public key is not the canonical encoding of a point of edwards25519")
    if _is_neutral(point) or not _is_neutral(_multiply(_L, point)):
        raise OwnershipError("the public key is not a point of the prime-order subgroup of edwards25519")


def _decode(key: bytes) -> _Point | None:
    encoded = int.from_bytes(key, "little")
    sign, y = encoded >> 255, encoded & (2**255 - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P  # D is not a square, so no divisor is 0
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(first: _Point, second: _Point) -> _Point:
    """Add two points; the formulas of RFC 8032, section 5.1.4, hold for doubling as well."""
    a = (first[1] - first[0]) * (second[1] - second[0]) % _P
    b = (first[1] + first[0]) * (second[1] + second[0]) % _P
    c = 2 * first[3] * second[3] * _D % _P
    d = 2 * first[2] * second[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(factor: int, point: _Point) -> _Point:
    total = _NEUTRAL
    while factor:
        if factor & 1:
            total = _add(total, point)
        point = _add(point, point)
        factor >>= 1
    return total


def _is_neutral(point: _Point) -> bool:
    return point[0] == 0 and (point[1] - point[2]) % _P == 0
