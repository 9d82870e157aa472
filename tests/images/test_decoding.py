import io
import logging
import os
import struct
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lottery_pipeline.images import decoding
from lottery_pipeline.images.decoding import decode_file, decode_files
from lottery_pipeline.images.decoding_budget import DecodingBudget
from lottery_pipeline.images.request import ImageError

RED = (255, 0, 0)


def save(image: Image.Image, path: Path, **options) -> str:
    image.save(path, **options)
    return str(path)


def decode_one(path: str, **options) -> torch.Tensor:
    return decode_files([path], **({"image_size": None, "channels": None} | options))[0]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("RGB", "a.png"),
        ("RGBA", "a.png"),
        ("P", "a.png"),
        ("RGB", "a.jpg"),
        ("CMYK", "a.jpg"),
        ("YCbCr", "a.jpg"),
    ],
)
def test_every_colour_mode_becomes_rgb(tmp_path, mode, name):
    path = save(Image.new("RGB", (8, 8), RED).convert(mode), tmp_path / name)
    pixels = decode_one(path).to(torch.int64)
    assert pixels.shape == (3, 8, 8)
    assert (pixels - torch.tensor(RED).view(3, 1, 1)).abs().max() <= 2


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_every_grey_mode_becomes_one_channel(tmp_path, mode):
    values = {"1": 255, "L": 255, "LA": (255, 255), "I;16": 65535}
    path = save(Image.new(mode, (4, 4), values[mode]), tmp_path / "image.png")
    assert decode_one(path).tolist() == [[[255] * 4] * 4]
    assert decode_one(path, channels=3).tolist() == [[[255] * 4] * 4] * 3


def test_sixteen_bits_are_rounded_to_eight_not_clipped(tmp_path):
    wide = np.array([[0, 257, 32768, 65535, 128, 129]], dtype=np.uint16)
    path = save(Image.fromarray(wide), tmp_path / "image.png")
    assert decode_one(path).tolist() == [[[0, 1, 128, 255, 0, 1]]]


def test_transparency_is_laid_over_white(tmp_path):
    path = save(Image.new("RGBA", (2, 2), (9, 9, 9, 0)), tmp_path / "clear.png")
    assert decode_one(path).unique().tolist() == [255]
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([9, 9, 9, 0, 0, 0])
    assert decode_one(save(palette, tmp_path / "palette.png", transparency=0)).unique().tolist() == [255]
    grey = save(Image.new("L", (2, 2), 9), tmp_path / "grey.png", transparency=9)
    assert decode_one(grey).tolist() == [[[255, 255], [255, 255]]]


def test_one_colour_image_makes_all_images_rgb(tmp_path):
    grey = save(Image.new("L", (4, 4), 7), tmp_path / "grey.png")
    colour = save(Image.new("RGB", (4, 4), RED), tmp_path / "colour.png")
    assert decode_files([grey, grey], image_size=None, channels=None).shape == (2, 1, 4, 4)
    both = decode_files([grey, colour], image_size=None, channels=None)
    assert both.shape == (2, 3, 4, 4)
    assert both[0].unique().tolist() == [7]
    # ITU-R 601: 0.299 * 255 = 76
    assert decode_files([grey, colour], image_size=None, channels=1)[1].unique().tolist() == [76]


def test_exif_rotation_is_applied(tmp_path):
    image = Image.new("L", (4, 2), 0)
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = save(image, tmp_path / "image.png", exif=exif)
    pixels = decode_one(path)
    assert pixels.shape == (1, 4, 2)
    assert pixels[0, 0, 1] == 255
    assert pixels.to(torch.int64).sum() == 255


def test_the_centre_square_is_resized_without_distortion(tmp_path):
    image = Image.new("RGB", (40, 20), RED)
    image.paste((0, 0, 255), (10, 0, 30, 20))
    pixels = decode_one(save(image, tmp_path / "wide.png"), image_size=5)
    assert pixels.shape == (3, 5, 5)
    assert pixels[2].unique().tolist() == [255]
    assert pixels[0].unique().tolist() == [0]


def test_reduction_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    pixels = decode_one(save(Image.fromarray(stripes), tmp_path / "stripes.png"), image_size=8)
    assert ((pixels.to(torch.int64) - 127).abs() <= 8).all()


def test_a_large_jpeg_reduced_while_decoding_looks_like_one_reduced_afterwards(tmp_path):
    y, x = np.mgrid[0:256, 0:256]
    smooth = Image.fromarray(np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8))
    path = save(smooth, tmp_path / "large.jpg", quality=95)
    with Image.open(path) as image:
        afterwards = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(decode_one(path, image_size=16).permute(1, 2, 0).numpy() - afterwards).max() <= 6


def test_many_files_keep_their_order_with_one_thread_and_with_several(tmp_path, monkeypatch):
    paths = [save(Image.new("L", (4, 4), value), tmp_path / f"{value}.png") for value in range(150)]
    expected = list(range(150))
    assert decode_files(paths, image_size=None, channels=1)[:, 0, 0, 0].tolist() == expected
    monkeypatch.setattr(decoding, "_count_workers", lambda paths: 4)
    monkeypatch.setattr(decoding, "FILES_PER_TASK", 3)
    assert decode_files(paths, image_size=None, channels=1)[:, 0, 0, 0].tolist() == expected


def test_images_of_different_sizes_ask_for_an_image_size(tmp_path):
    paths = [save(Image.new("L", (side, 4)), tmp_path / f"{side}.png") for side in (4, 6)]
    with pytest.raises(ImageError, match=r"6\.png is 6x4 pixels and .*4\.png is 4x4: set data\.image_size"):
        decode_files(paths, image_size=None, channels=None)
    assert decode_files(paths, image_size=4, channels=None).shape == (2, 1, 4, 4)


def jpeg_bytes() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, format="JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"not an image", jpeg_bytes()[:700], b"GIF89a" + bytes(32)])
def test_a_broken_file_is_named(tmp_path, content):
    good = save(Image.new("RGB", (32, 32)), tmp_path / "good.png")
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.jpg is not a readable JPEG or PNG image"):
        decode_files([good, str(tmp_path / "broken.jpg")], image_size=None, channels=None)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_500, 20_000, 2_000_000])
def test_a_decompression_bomb_is_refused_by_name_before_it_is_unpacked(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(side, side))
    with pytest.raises(ImageError, match=r"bomb\.png has more than the 89478485 pixels allowed"):
        decode_file(str(path), 32)


def test_a_bomb_is_refused_even_where_pillows_own_protection_is_off(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(20_000, 20_000))
    with pytest.raises(ImageError, match="20000x20000 pixels, more than"):
        decode_file(str(path), 32)


def test_an_image_that_takes_more_memory_than_there_is_is_refused_before_it_is_decoded(tmp_path):
    path = save(Image.new("RGBA", (1000, 1000)), tmp_path / "large.png")
    message = r"large\.png would take 38 MiB of memory to decode, but only 10 MiB may be taken"
    for image_size in (None, 8):
        with pytest.raises(ImageError, match=message):
            decode_file(path, image_size, DecodingBudget(10 * 2**20))
        with pytest.raises(ImageError, match=message):
            decode_files([path], image_size=image_size, channels=3, budget=DecodingBudget(10 * 2**20))
    assert decode_file(path, 8, DecodingBudget(40 * 2**20))[0].size == (8, 8)


def test_threads_together_stay_within_the_budget(tmp_path, monkeypatch):
    paths = [
        save(Image.new("RGB", (300, 300), (value, 0, 0)), tmp_path / f"{value}.png") for value in range(40)
    ]
    monkeypatch.setattr(decoding, "_count_workers", lambda paths: 4)
    monkeypatch.setattr(decoding, "FILES_PER_TASK", 1)
    monkeypatch.setattr(decoding, "UNCOUNTED_BYTES", 0)
    budget = RecordingBudget(8 * 2**20)  # an image takes 3.4 MiB
    decoded = decode_files(paths, image_size=None, channels=3, budget=budget)
    assert decoded[:, 0, 0, 0].tolist() == list(range(40))
    assert budget.most == 2


class RecordingBudget(DecodingBudget):
    """Counts how many hold memory at a time."""

    now = most = 0

    @contextmanager
    def hold(self, size):
        with super().hold(size):
            self.now += 1
            self.most = max(self.most, self.now)
            time.sleep(0.002)
            yield
            self.now -= 1


def test_texts_that_inflate_to_more_than_they_may_are_refused(tmp_path):
    texts = PngInfo()
    for number in range(70):
        texts.add_text(str(number), "a" * 2**20, zip=True)
    path = save(Image.new("L", (4, 4)), tmp_path / "texts.png", pnginfo=texts)
    with pytest.raises(ImageError, match=r"texts\.png is not a readable JPEG or PNG image"):
        decode_file(path, None)


def test_images_that_do_not_fit_in_memory_are_refused_before_allocation(tmp_path, monkeypatch):
    path = save(Image.new("L", (4, 4)), tmp_path / "image.png")
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: 100)
    with pytest.raises(
        ImageError, match=r"3 images of 4x4 pixels would take .* of memory are free: set data\.image_size"
    ):
        decode_files([path] * 3, image_size=None, channels=None)


def test_large_files_are_given_all_cores_and_small_ones_a_single_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding.os, "cpu_count", lambda: 8)
    (tmp_path / "small").write_bytes(bytes(100))
    (tmp_path / "large").write_bytes(bytes(100_000))
    assert decoding._count_workers([str(tmp_path / "small")] * 200) == 1
    assert decoding._count_workers([str(tmp_path / "large")] * 200) == 8


def test_decoding_reports_in_log_lines_where_there_is_no_terminal(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("lottery_pipeline.images.progress.SECONDS_BETWEEN_LINES", 0.0)
    paths = [save(Image.new("L", (4, 4)), tmp_path / f"{n}.png") for n in range(100)]
    with caplog.at_level(logging.INFO):
        decode_files(paths, image_size=None, channels=None)
    assert "decoding images: 25 of 100" in caplog.text


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe.png is not a readable JPEG or PNG image: .*not a regular"):
        decode_file(str(tmp_path / "pipe.png"), None)
