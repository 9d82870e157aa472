"""Naive twin of the code of masks: text of 0s and 1s, one weight after another."""


def low_bits_naive(size: int, marked: int) -> int:
    """Return the exponent of the greatest power of two that is not above the mean gap."""
    return max(low for low in range(40) if 2**low * marked <= size - marked)


def plan_naive(size: int, kept: int) -> tuple[str, int, int]:
    """Return the kind of code, the number of low bits, and the most bits that all high parts can take."""
    marked = min(kept, size - kept)
    if marked == 0:
        return "none", 0, 0
    low = low_bits_naive(size, marked)
    most = marked + (size - marked) // 2**low
    gaps = len(to_bytes("0" * marked * low)) + len(to_bytes("0" * most))
    return ("gaps" if gaps < len(to_bytes("0" * size)) else "bits"), low, most


def encode_naive(mask: list[bool]) -> bytes:
    """Return the code of a mask."""
    kind, low, _ = plan_naive(len(mask), sum(mask))
    if kind == "none":
        return b""
    if kind == "bits":
        return to_bytes("".join("01"[bit] for bit in mask))
    rare = sum(mask) * 2 < len(mask)
    first, second, gap = "", "", 0
    for bit in mask:
        if bit != rare:
            gap += 1
            continue
        first += format(gap % 2**low, f"0{low}b")
        second += "0" * (gap // 2**low) + "1"
        gap = 0
    return to_bytes(first) + to_bytes(second)


def decode_naive(code: bytes, size: int, kept: int) -> tuple[list[bool], int]:
    """Return the mask at the start of a code, and the length of its code in bytes.

    Raises:
        ValueError: the code is not one of such a mask.
    """
    kind, low, most = plan_naive(size, kept)
    if kind == "none":
        return [kept > 0] * size, 0
    if kind == "bits":
        mask = [bit == "1" for bit in to_text(code)[:size]]
    else:
        marked = min(kept, size - kept)
        begin = len(to_bytes("0" * marked * low))
        first, second = to_text(code[:begin]), to_text(code[begin:])[:most]
        mask = [kept * 2 > size] * size
        place = -1
        for number in range(marked):
            high, _, second = second.partition("1")
            place += 1 + 2**low * len(high) + int(first[number * low : (number + 1) * low], 2)
            if place >= size:
                raise ValueError("beyond the end")
            mask[place] = not mask[place]
    written = encode_naive(mask)
    if len(mask) != size or sum(mask) != kept or code[: len(written)] != written:
        raise ValueError("not a code")
    return mask, len(written)


def to_bytes(text: str) -> bytes:
    """Pack text of 0s and 1s, the first one into the most significant bit."""
    padded = text + "0" * (-len(text) % 8)
    return bytes(int(padded[place : place + 8], 2) for place in range(0, len(padded), 8))


def to_text(content: bytes) -> str:
    """Undo ``to_bytes``."""
    return "".join(format(byte, "08b") for byte in content)
