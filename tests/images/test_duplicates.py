import torch

from lottery_pipeline.images.duplicates import hash_images, warn_of_duplicates


def test_equal_images_have_equal_hashes_and_others_do_not():
    images = torch.tensor([0, 1, 0], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 2, 2).contiguous()
    first, second, third = hash_images(images)
    assert first == third != second
    assert hash_images(images[:0]) == []


def test_duplicates_of_each_part_are_counted(caplog):
    warn_of_duplicates({"train": [b"a", b"b"], "validation": [b"b", b"c"], "test": [b"c", b"a", b"d"]})
    assert "2 test images are exact duplicates of training images" in caplog.text
    assert "1 validation images are exact duplicates of training images" in caplog.text


def test_parts_without_duplicates_are_silent(caplog):
    warn_of_duplicates({"train": [b"a", b"a"], "validation": [], "test": [b"b"]})
    assert caplog.text == ""
