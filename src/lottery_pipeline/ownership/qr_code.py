"""The QR symbol that scheme V2 hides in a mask (arXiv 2111.00162, 3.3.2): version 3, error level H.

A symbol is a bool array [29, 29], rows first, without quiet zone. True is a light module, which stands for a
cell of kept weights; most software means dark by 1. Of the 841 modules, 274 are function patterns (finders,
timing, alignment, format), equal for every text, and 567 hold data: 70 codewords and 7 bits of padding. The
codewords form two Reed-Solomon blocks of 35, each of which repairs 11 (ISO/IEC 18004).
"""

import numpy as np
import numpy.typing as npt
import segno
import zxingcpp

from lottery_pipeline.ownership.errors import OwnershipError

Symbol = npt.NDArray[np.bool_]

SIDE = 29
MAX_TEXT_BYTES = 24
MASK_PATTERN = 0  # modules with an even sum of row and column are flipped; fixed, so format modules are known


def _draw_areas() -> tuple[Symbol, Symbol]:
    functions, pasted = np.zeros((2, SIDE, SIDE), dtype=bool)
    for area, corner in ((functions, 8), (pasted, 9)):
        area[:9, :9] = area[:9, -corner:] = area[-corner:, :9] = True
        area[20:25, 20:25] = True  # alignment
        area[6, :] = area[:, 6] = True  # timing
    return functions, pasted


FUNCTION_PATTERNS, PASTED_BACK = _draw_areas()
"""Masks [29, 29]: the 274 modules that hold no data, and the 290 that the published verifier sets itself.

The published area has nine rows and columns at each corner, and so includes 16 modules of data.
"""


def make_symbol(text: str) -> Symbol:
    """Return the symbol of a text, with mask pattern 0.

    Args:
        text: 1 to 24 bytes in UTF-8.

    Raises:
        OwnershipError: the text is empty, too long, or cannot be encoded.
    """
    content = text.encode(errors="surrogatepass")
    if not 1 <= len(content) <= MAX_TEXT_BYTES or not _is_text(content):
        raise OwnershipError(
            f"the text of a QR code must be 1 to {MAX_TEXT_BYTES} bytes in UTF-8, got {len(content)}: "
            f"{text[:40]!a}"
        )
    code = segno.make_qr(content, version=3, error="H", mode="byte", mask=MASK_PATTERN, boost_error=False)
    return np.array(code.matrix) == 0


def read_symbol(modules: Symbol) -> str | None:
    """Decode a symbol, damaged or not; None if it cannot be repaired.

    The modules are first read as they are: as a perfectly aligned image, then as a photograph. If that fails,
    the function patterns are set to what they must be, since a damaged finder loses no data. That helps the
    mark and invents nothing: no function pattern holds a bit of the text, so the text still comes from the
    567 other modules alone.

    Args:
        modules: [29, 29], True = light.

    Raises:
        OwnershipError: the modules have another shape or dtype.
    """
    check_modules(modules)
    restored = np.where(FUNCTION_PATTERNS, _TEMPLATE, modules)
    for tried, pixels, pure in (
        (modules, 4, True),
        (modules, 1, True),
        (modules, 4, False),
        (restored, 4, True),
    ):
        text = _decode(tried, pixels, pure=pure)
        if text is not None:
            return text
    return None


def check_modules(modules: Symbol) -> None:
    """Check that modules are a symbol.

    Raises:
        OwnershipError: another shape than [29, 29] or another dtype than bool.
    """
    if modules.shape != (SIDE, SIDE) or modules.dtype != np.bool_:
        raise OwnershipError(
            f"a symbol is a bool array of shape {(SIDE, SIDE)}, got {modules.dtype} of shape {modules.shape}"
        )


def _decode(modules: Symbol, pixels: int, *, pure: bool) -> str | None:
    quiet = np.pad(modules, 4, constant_values=True)
    image = np.kron(quiet, np.ones((pixels, pixels), dtype=bool)).astype(np.uint8) * np.uint8(255)
    found = zxingcpp.read_barcode(image, formats=_FORMATS, is_pure=pure)
    if found is None or not found.valid or found.format != zxingcpp.BarcodeFormat.QRCode:
        return None
    return bytes(found.bytes).decode(errors="replace")


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


_TEMPLATE = make_symbol("-")
_FORMATS = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
