import errno
import os

import pytest
import torch

from lottery_pipeline.images import draft as module
from lottery_pipeline.images.draft import Draft, find_draft_folder
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.reproducibility.storage import StorageError

SHAPE = (1, 2, 3)
LABELS = {"test": torch.arange(5), "train": torch.arange(7), "validation": torch.arange(0)}


class StoppedError(Exception):
    """The preparation was stopped."""


class Source:
    """Images that count what is read of them, and stop after so many pieces."""

    def __init__(self, part: str, *, stop_after: int = 0) -> None:
        generator = torch.Generator().manual_seed(len(part))
        count = len(LABELS[part])
        self.images = torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=generator)
        self.read_before, self._stop_after = [], stop_after

    def __call__(self, start: int, stop: int) -> torch.Tensor:
        if len(self.read_before) == self._stop_after:
            raise StoppedError
        self.read_before.append((start, stop))
        return self.images[start:stop]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "PIECE_BYTES", 13)  # two images


def make(path, *, key="k") -> Draft:
    return Draft(path, LABELS, SHAPE, longest="h" * 20, key=key)


def fill(draft: Draft, **stops: int) -> dict[str, Source]:
    sources = {part: Source(part, stop_after=stops.get(part, 99)) for part in LABELS}
    for part in sorted(LABELS):
        pieces = [*draft.fill(part, sources[part])]
        if pieces:
            assert torch.equal(torch.cat(pieces), sources[part].images)
    return sources


def test_all_images_are_in_the_file_in_their_order(tmp_path):
    draft = make(tmp_path / "images")
    sources = fill(draft)
    for part, images in draft.finish("header").items():
        assert torch.equal(images[:], sources[part].images)
    assert sources["test"].read_before == [(0, 2), (2, 4), (4, 5)]


def test_the_file_is_one_of_safetensors(tmp_path):
    from safetensors import safe_open

    draft = make(tmp_path / "images")
    sources = fill(draft)
    draft.finish("header")
    with safe_open(find_draft_folder(tmp_path / "images") / "images", framework="pt") as file:
        assert file.metadata() == {"header": "header"}
        for part, source in sources.items():
            assert torch.equal(file.get_tensor(f"{part}.images"), source.images)
            assert torch.equal(file.get_tensor(f"{part}.labels"), LABELS[part])


def test_what_was_written_before_a_stop_is_kept(tmp_path):
    with pytest.raises(StoppedError):
        fill(make(tmp_path / "images"), train=1)
    sources = fill(make(tmp_path / "images"))
    assert sources["test"].read_before == []
    assert sources["train"].read_before == [(2, 4), (4, 6), (6, 7)]


@pytest.mark.parametrize("damage", ["pixels", "torn line", "no line"])
def test_a_piece_that_was_not_written_whole_is_made_anew_with_those_after_it(tmp_path, damage, caplog):
    with pytest.raises(StoppedError):
        fill(make(tmp_path / "images"), train=2)
    folder = find_draft_folder(tmp_path / "images")
    content, lines = (folder / "images").read_bytes(), (folder / "journal").read_text()
    if damage == "pixels":
        place = content.index(Source("train").images[1].numpy().tobytes())
        (folder / "images").write_bytes(content[:place] + b"?" + content[place + 1 :])
        assert content[place] != ord("?")
    else:
        lines = lines[: -1 if damage == "torn line" else -33]
        (folder / "journal").write_text(lines)
    for _ in range(2):  # the second time all is there
        sources = fill(make(tmp_path / "images"))
        first = 0 if damage == "pixels" else 2
        assert sources["train"].read_before in ([(i, min(i + 2, 7)) for i in range(first, 7, 2)], [])
    assert sources["train"].read_before == []
    assert ("was not written whole" in caplog.text) == (damage == "pixels")


def test_pieces_of_other_images_are_removed(tmp_path):
    fill(make(tmp_path / "images", key="one"))
    assert len(fill(make(tmp_path / "images", key="two"))["test"].read_before) == 3


@pytest.mark.parametrize("journal", [b"", b"\xff\xfe", b"other\n"])
def test_a_journal_of_something_else_is_no_hindrance(tmp_path, journal):
    fill(make(tmp_path / "images"))
    (find_draft_folder(tmp_path / "images") / "journal").write_bytes(journal)
    assert len(fill(make(tmp_path / "images"))["test"].read_before) == 3


def test_a_disk_without_room_is_refused_before_an_image_is_read(tmp_path, monkeypatch):
    free = module.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: free)
    with pytest.raises(ImageError, match=r"would take 0\.0 GiB on disk, but 0\.0 GiB are free in "):
        make(tmp_path / "images")


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    draft = make(tmp_path / "images")
    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(StorageError, match="the disk is full; free some space"):
        fill(draft)
