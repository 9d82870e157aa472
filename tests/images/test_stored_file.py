import json
import struct

import pytest
import torch

from lottery_pipeline.images.pixel_file import PixelFile
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.stored_file import note_check, open_images, was_checked

NAME = "train.images"


def write(path, *, shape, offsets, length=None, pixels=bytes(range(24))):
    """Write an index that may lie, and pixels."""
    index = json.dumps({NAME: {"dtype": "U8", "shape": shape, "data_offsets": offsets}}).encode()
    path.write_bytes(struct.pack("<Q", len(index) if length is None else length) + index + pixels)


def test_images_are_found_where_the_index_says(tmp_path):
    write(tmp_path / "a", shape=[2, 1, 3, 3], offsets=[6, 24])
    images = open_images(tmp_path / "a", {NAME: (2, 1, 3, 3), "train.labels": (2,)})[NAME]
    assert torch.equal(images[:].flatten(), torch.arange(6, 24, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"shape": [2, 1, 3, 4], "offsets": [0, 24]}, "another size than its index says"),
        ({"shape": [2, 1, 3, 3], "offsets": [0, 24]}, "another size than its index says"),
        ({"shape": [2, 1, 3, 3], "offsets": [7, 25]}, "lies outside the file"),
        ({"shape": [2, 1, 3, 3], "offsets": [-1, 17]}, "lies outside the file"),
        ({"shape": [2, 1, 3, 3], "offsets": [0, 18], "length": 2**40}, "index is longer than the file"),
    ],
)
def test_an_index_that_lies_is_refused_before_anything_is_read(tmp_path, index, message):
    write(tmp_path / "a", **index)
    with pytest.raises(ImageError, match=message):
        open_images(tmp_path / "a", {NAME: (2, 1, 3, 3)})


def test_a_note_holds_for_one_state_of_the_file_and_one_fingerprint(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"pixels")
    assert not was_checked(PixelFile(path), "f" * 64)
    note_check(PixelFile(path), "f" * 64)
    assert was_checked(PixelFile(path), "f" * 64)
    assert not was_checked(PixelFile(path), "0" * 64)
    path.write_bytes(b"other!")
    assert not was_checked(PixelFile(path), "f" * 64)
