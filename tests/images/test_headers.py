"""The shape of prepared images is known from the headers of their files."""

from pathlib import Path

import pytest
from PIL import Image

from lottery_pipeline.images import headers
from lottery_pipeline.images.decoding import decode_files
from lottery_pipeline.images.headers import are_grey, read_shape
from lottery_pipeline.images.request import ImageError

TURNED = 6  # EXIF: the first row is the right side


def write(
    folder: Path, name: str, mode: str = "RGB", size: tuple[int, int] = (6, 4), orientation: int = 1
) -> str:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / name
    Image.new(mode, size).save(path, **({"exif": exif} if orientation > 1 else {}))
    return str(path)


@pytest.mark.parametrize("image_size", [None, 5])
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA", "I;16"])
def test_the_shape_is_that_of_the_decoded_images(
    tmp_path: Path, mode: str, channels: int | None, image_size: int | None
) -> None:
    paths = [write(tmp_path, f"{n}.png", mode) for n in range(2)]
    found = read_shape(paths, image_size=image_size, channels=channels)
    assert found == tuple(decode_files(paths, image_size=image_size, channels=channels).shape[1:])


def test_a_photograph_that_lies_on_its_side_is_turned_up(tmp_path: Path) -> None:
    paths = [write(tmp_path, "a.jpg", orientation=TURNED), write(tmp_path, "b.jpg", size=(4, 6))]
    assert read_shape(paths, image_size=None, channels=None) == (3, 6, 4)
    assert decode_files(paths, image_size=None, channels=None).shape == (2, 3, 6, 4)


def test_two_sizes_are_refused_in_the_words_of_the_decoder(tmp_path: Path) -> None:
    paths = [write(tmp_path, "a.png"), write(tmp_path, "b.png", size=(6, 6))]
    words = []
    for read in (read_shape, decode_files):
        with pytest.raises(
            ImageError, match=r"b\.png is 6x6 pixels and .*a\.png is 6x4: set data\.image"
        ) as caught:
            read(paths, image_size=None, channels=None)
        words.append(str(caught.value))
    assert words[0] == words[1]
    assert read_shape(paths, image_size=8, channels=None) == (3, 8, 8)


def test_few_of_many_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "FILES_READ", 3)
    path, missing = write(tmp_path, "a.png", "L"), str(tmp_path / "missing.png")
    paths = [path, missing, missing, path, missing, missing, path]
    assert read_shape(paths, image_size=None, channels=None) == (1, 4, 6)


def test_files_are_grey_if_all_of_them_are(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for path, mode in zip(paths, ("L", "RGB", "LA"), strict=True):
        Image.new(mode, (2, 2)).save(path)
    assert are_grey([paths[0], paths[2]])
    assert not are_grey(paths)
