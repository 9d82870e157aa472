import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lottery_pipeline.images import pixel_modes
from lottery_pipeline.images.pixel_modes import flatten, measure_decoding, split_tiles, write_pixels

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")


def make(mode: str) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (13, 17, 4), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype(np.uint16) * 200)
    image = Image.fromarray(values, "RGBA").convert(mode if mode != "P" else "RGB")
    return image.quantize(16) if mode == "P" else image


@pytest.mark.parametrize("pixels", [1, 5, 17, 40, 221])
@pytest.mark.parametrize("mode", MODES)
def test_tiles_make_no_difference(monkeypatch, mode, pixels):
    image = make(mode)
    if mode == "P":
        image.info["transparency"] = bytes(range(0, 256, 16))
    whole = np.empty((3, 13, 17), dtype=np.uint8)
    write_pixels(flatten(image), whole)
    monkeypatch.setattr(pixel_modes, "TILE_PIXELS", pixels)
    tiled = np.empty_like(whole)
    write_pixels(flatten(image), tiled)
    assert np.array_equal(whole, tiled)


@pytest.mark.parametrize(
    ("width", "height", "pixels"), [(7, 5, 1), (7, 5, 20), (100, 1, 30), (1, 100, 30), (3, 3, 9)]
)
def test_tiles_cover_every_pixel_once(monkeypatch, width, height, pixels):
    monkeypatch.setattr(pixel_modes, "TILE_PIXELS", pixels)
    count = np.zeros((height, width), dtype=int)
    for left, top, right, bottom in split_tiles(width, height):
        assert (right - left) * (bottom - top) <= pixels
        count[top:bottom, left:right] += 1
    assert (count == 1).all()


def test_a_progressive_file_is_counted_with_its_coefficients(tmp_path):
    sizes = []
    for progressive in (False, True):
        path = tmp_path / f"{progressive}.jpg"
        Image.new("RGB", (100, 100)).save(path, progressive=progressive)
        with Image.open(path) as image:
            sizes.append(measure_decoding(image, 100 * 100))
    assert sizes == [100 * 100 * (8 + 32), 100 * 100 * (8 + 32 + 6)]


MEASURE = """
import re, sys
from pathlib import Path
from PIL import Image
from lottery_pipeline.images.pixel_modes import flatten, measure_decoding
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
with Image.open(sys.argv[1]) as image:
    bound = measure_decoding(image, image.width * image.height)
    before = peak()
    image.load()
    flatten(image)
print(bound, peak() - before)
"""


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "P"])
def test_an_image_takes_no_more_memory_than_its_header_lets_expect(tmp_path, mode):
    side = 3000
    image = (
        Image.fromarray(np.zeros((side, side), np.uint16))
        if mode == "I;16"
        else Image.new(mode, (side, side))
    )
    image.save(tmp_path / "image.png", compress_level=1)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "image.png")]
    bound, peak = map(int, subprocess.run(command, capture_output=True, check=True).stdout.split())
    assert 0 < peak <= bound
    assert bound <= side * side * 8 + 2**25  # not the 16 bytes of a pixel that whole copies would take
