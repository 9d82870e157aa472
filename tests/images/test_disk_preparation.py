import dataclasses
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from PIL import Image

from lottery_pipeline.images import draft, image_pieces
from lottery_pipeline.images.draft import find_draft_folder
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.images.splits import PARTS, ImageSplits
from lottery_pipeline.images.splits_file import load_splits, save_splits
from tests.images.builders import write_classes, write_image

PIECE = 4 * 3 * 8 * 8  # four images


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(draft, "PIECE_BYTES", PIECE)


@pytest.fixture
def folder(tmp_path):
    write_classes(tmp_path / "folder", {"a": 15, "b": 12})
    return tmp_path / "folder"


def prepare(folder, path=None, **fields) -> ImageSplits:
    request = ImageRequest(source="image_folder", root=str(folder), **fields)
    return prepare_images(request, seed=0, path=path)


def assert_equal(first: ImageSplits, second: ImageSplits) -> None:
    for field in dataclasses.fields(ImageSplits):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name in PARTS:
            assert torch.equal(a.images[:], b.images[:])
            assert torch.equal(a.labels, b.labels)
        else:
            assert a == b, field.name


@pytest.mark.parametrize("fields", [{}, {"image_size": 5}, {"channels": 1}, {"validation_fraction": 0}])
def test_images_prepared_on_disk_are_those_prepared_in_memory(folder, tmp_path, fields):
    path = tmp_path / "data" / "images.safetensors"
    path.parent.mkdir()
    stored = prepare(folder, path, storage="disk", **fields)
    resident = prepare(folder, **fields)
    assert (stored.storage, resident.storage) == ("disk", "memory")
    assert_equal(stored, resident)
    save_splits(stored, path)
    assert_equal(stored, resident)  # it is read from its new place
    assert_equal(load_splits(path), resident)
    assert_equal(load_splits(path, "disk"), resident)
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.checked"]


@pytest.mark.parametrize("colours", [0, 1])
def test_one_colour_image_among_many_makes_all_of_them_rgb(tmp_path, colours):
    for number in range(80):
        path = tmp_path / "folder" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        mode, value = ("RGB", (number, 0, 0)) if number < colours else ("L", number)
        Image.new(mode, (4, 4), value).save(path)
    stored = prepare(tmp_path / "folder", tmp_path / "images", storage="disk")
    assert stored.channels == (3 if colours else 1)
    assert_equal(stored, prepare(tmp_path / "folder"))


def test_an_image_of_another_size_is_named(folder, tmp_path):
    for number in range(100):
        write_image(folder / "a" / f"many{number:03}.png", number)
    write_image(folder / "a" / "many042.png", 1, size=(8, 9))
    with pytest.raises(ImageError, match=r"many042.png is 8x9 pixels and .* is 8x8: set data.image_size"):
        prepare(folder, tmp_path / "images", storage="disk")


def test_auto_prepares_on_disk_what_does_not_fit_in_memory(folder, tmp_path, monkeypatch):
    size = 27 * 3 * 8 * 8
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: 3 * size - 1)
    assert prepare(folder, tmp_path / "images").storage == "disk"
    assert prepare(folder).storage == "memory"  # there is no place for a file
    assert prepare(folder, tmp_path / "images", storage="memory").storage == "memory"
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: 3 * size)
    assert prepare(folder, tmp_path / "images").storage == "memory"


def test_a_folder_larger_than_the_memory_that_is_free_is_prepared(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: PIECE)
    monkeypatch.setattr("lottery_pipeline.images.decoding_budget.free_bytes", lambda: PIECE)
    with pytest.raises(ImageError, match="27 images of 8x8 pixels would take"):
        prepare(folder, tmp_path / "images", storage="memory")
    assert len(prepare(folder, tmp_path / "images").train) == 20


def test_duplicates_across_parts_are_counted(tmp_path, caplog):
    write_classes(tmp_path / "folder" / "train", {"a": 6, "b": 6})
    write_classes(tmp_path / "folder" / "test", {"a": 2}, first=0)
    prepare(tmp_path / "folder", tmp_path / "images", storage="disk", validation_fraction=0)
    assert "2 test images are exact duplicates of training images" in caplog.text


class StoppedError(Exception):
    """The preparation was stopped."""


def test_a_preparation_that_was_stopped_decodes_only_what_is_missing(folder, tmp_path, monkeypatch, caplog):
    decoded = []
    whole = image_pieces.decode_files

    def decode(paths, **options):
        if len(decoded) == 3:
            raise StoppedError
        decoded.append(len(paths))
        return whole(paths, **options)

    monkeypatch.setattr(image_pieces, "decode_files", decode)
    with pytest.raises(StoppedError):
        prepare(folder, tmp_path / "images", storage="disk")
    done = sum(decoded)
    decoded.clear()
    monkeypatch.setattr(image_pieces, "decode_files", lambda p, **o: decoded.append(len(p)) or whole(p, **o))
    with caplog.at_level("INFO"):
        stored = prepare(folder, tmp_path / "images", storage="disk")
    assert sum(decoded) == 27 - done
    assert "images: 3 pieces that were prepared before are kept" in caplog.text
    assert_equal(stored, prepare(folder))


def test_a_file_that_changes_after_the_stop_is_read_again(folder, tmp_path):
    prepare(folder, tmp_path / "images", storage="disk")
    write_image(folder / "a" / "000.png", 999)
    assert_equal(prepare(folder, tmp_path / "images", storage="disk"), prepare(folder))


def test_what_a_stopped_preparation_left_goes_when_the_images_are_prepared_in_memory(folder, tmp_path):
    prepare(folder, tmp_path / "images", storage="disk")
    assert find_draft_folder(tmp_path / "images").is_dir()
    save_splits(prepare(folder, storage="memory"), tmp_path / "images")
    assert not find_draft_folder(tmp_path / "images").exists()


SCRIPT = """
    import sys
    from pathlib import Path
    from lottery_pipeline.images import draft, image_pieces
    from lottery_pipeline.images.preparation import prepare_images
    from lottery_pipeline.images.request import ImageRequest

    draft.PIECE_BYTES = 200
    whole = image_pieces.decode_files
    def decode(paths, **options):
        print("piece", flush=True)
        return whole(paths, **options)
    image_pieces.decode_files = decode
    request = ImageRequest(source="image_folder", root=sys.argv[1], storage="disk")
    print(prepare_images(request, seed=0, path=Path(sys.argv[2])).fingerprint, flush=True)
"""


@pytest.mark.slow
def test_a_preparation_killed_again_and_again_ends_with_the_same_images(folder, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), str(tmp_path / "images")]
    pieces = 0
    for kill_after in np.random.default_rng(0).integers(1, 9, 4).tolist():
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(kill_after):
                assert process.stdout.readline() == "piece\n"
                pieces += 1
            process.send_signal(signal.SIGKILL)
    *lines, found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == prepare(folder).fingerprint
    assert len(lines) < 27 - pieces + 3 * 4  # a kill costs the pieces in flight
