from hashlib import sha256

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.ownership.trigger_images import draw_shapes, expand, pick_indices, stamp_pattern

KEY = bytes(range(32))
OTHER_KEY = bytes(32)


def draw(count: int, key: bytes = KEY, channels: int = 1, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.stack(
        [draw_shapes(key, index, channels=channels, height=height, width=width) for index in range(count)]
    )


def test_a_small_picture_is_known_pixel_by_pixel():
    assert draw_shapes(KEY, 0, channels=1, height=4, width=4).tolist() == [
        [[13, 243, 13, 14], [8, 246, 242, 20], [247, 249, 245, 235], [14, 249, 6, 241]]
    ]


@pytest.mark.parametrize(
    ("channels", "height", "width", "known"),
    [
        (1, 8, 8, "806fe4aa9f03f35dcf4042a7940b58151b4e3d0b20384f1f746093d1cf7070cb"),
        (3, 32, 32, "2abd029ccaadb12648d8c37cca85da41c5d00cc0bfff46350c27df5df5ec0ced"),
        (3, 28, 33, "c5d62154e4735e1822dcf0157f1eb8b3f93a71cb81c1a15f256c512a7dd9e788"),
    ],
)
def test_pictures_are_the_same_to_the_last_bit_on_every_machine(channels, height, width, known):
    pictures = draw(3, channels=channels, height=height, width=width)

    assert sha256(pictures.numpy().tobytes()).hexdigest() == known


@given(st.integers(1, 4), st.integers(4, 40), st.integers(4, 40), st.binary(min_size=32, max_size=32))
def test_a_picture_of_any_size_has_dark_and_bright_places(channels, height, width, key):
    picture = draw_shapes(key, 5, channels=channels, height=height, width=width)

    assert picture.dtype == torch.uint8
    assert picture.shape == (channels, height, width)
    assert bool(((picture < 32) | (picture >= 224)).all())


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32)])
def test_pictures_are_diverse_and_high_in_contrast(channels, size):
    pictures = draw(100, channels=channels, height=size, width=size).float().flatten(1)

    distances = torch.cdist(pictures, pictures, p=1) / pictures.shape[1]
    distances.fill_diagonal_(255)
    assert float(distances.min()) > 40
    assert float(pictures.std(1).median()) > 90
    assert 100 < float(pictures.mean()) < 155


def test_a_larger_picture_shows_the_same_scene():
    small = draw(20, height=16, width=16)
    large = draw(20, height=48, width=48)[:, :, 1::3, 1::3]  # the pixels whose centres are the same places

    same = (small >= 128) == (large >= 128)
    assert float(same.float().mean()) > 0.99


def test_another_key_or_index_gives_another_picture():
    pictures = [*draw(3), *draw(3, key=OTHER_KEY)]

    assert len({picture.numpy().tobytes() for picture in pictures}) == 6


def test_streams_of_one_key_are_independent():
    assert expand(KEY, "labels", b"", 8) != expand(KEY, "pattern", b"", 8)
    assert expand(KEY, "labels", b"a", 8) != expand(KEY, "labels", b"b", 8)
    assert expand(KEY, "labels", b"a", 8) == expand(KEY, "labels", b"a", 16)[:8]


def test_a_known_pattern_covers_a_quarter_and_leaves_the_rest():
    bases = torch.full((2, 1, 8, 8), 7, dtype=torch.uint8)

    stamped = stamp_pattern(KEY, bases)

    free = 7
    assert stamped[0, 0].tolist() == [
        [0, 255, free, free, free, free, 0, free],
        [255, free, free, free, free, 255, free, free],
        [free, 0, 0, free, free, free, free, 255],
        [255, free, free, free, free, free, free, free],
        [0, free, 0, free, free, free, free, free],
        [0, free, free, free, free, free, free, 0],
        [0, free, free, 255, free, free, free, free],
        [255, free, free, free, free, free, free, free],
    ]
    assert torch.equal(stamped[0], stamped[1])
    assert bool((bases == 7).all())


def test_the_pattern_of_a_larger_image_is_the_same_in_larger_cells():
    small = stamp_pattern(KEY, torch.full((1, 3, 8, 8), 7, dtype=torch.uint8))
    large = stamp_pattern(KEY, torch.full((1, 3, 32, 32), 7, dtype=torch.uint8))

    assert torch.equal(large, small.repeat_interleave(4, 2).repeat_interleave(4, 3))
    assert int((large != 7).sum()) == 3 * 16 * 16
    assert not torch.equal(stamp_pattern(OTHER_KEY, large), large)


def test_indices_are_picked_by_the_key_without_repeats_and_never_for_two_parts():
    parts = [pick_indices(KEY, 40, count=8, part=part, parts=4) for part in range(4)]

    assert all(len(set(picked)) == 8 for picked in parts)
    assert all(index % 4 == part for part, picked in enumerate(parts) for index in picked)
    assert pick_indices(KEY, 20, count=4, part=1, parts=4) == [5, 9, 13, 1]
    assert pick_indices(KEY, 40, count=3, part=0, parts=4) == parts[0][:3]
    assert pick_indices(OTHER_KEY, 40, count=8, part=0, parts=4) != parts[0]
    assert len(pick_indices(KEY, 40, count=11, part=0, parts=4)) == 10
