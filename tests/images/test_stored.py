import pickle

import pytest
import torch

from lottery_pipeline.images.pixel_file import PixelFile
from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.stored import StoredImages, store_for_now

SHAPE = (9, 3, 2, 4)


@pytest.fixture
def resident():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, SHAPE, dtype=torch.uint8, generator=generator)


@pytest.fixture
def stored(resident, tmp_path):
    (tmp_path / "pixels").write_bytes(b"seven b" + resident.numpy().tobytes())
    return StoredImages(PixelFile(tmp_path / "pixels"), 7, SHAPE)


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(None),
        slice(2, 5),
        slice(7, 100),
        slice(3, 3),
        slice(0, 9, 2),
        torch.tensor([8, 0, 1, 2, 2, 5]),
        torch.tensor([], dtype=torch.int64),
        torch.arange(9) % 2 == 0,
    ],
)
def test_an_index_reads_what_it_takes_of_a_tensor(stored, resident, index):
    assert torch.equal(stored[index], resident[index])
    assert stored[index].is_contiguous()


def test_stored_images_answer_what_a_tensor_answers(stored, resident):
    for name in ("shape", "dtype", "device", "nbytes"):
        assert getattr(stored, name) == getattr(resident, name)
    for name in ("dim", "numel", "__len__"):
        assert getattr(stored, name)() == getattr(resident, name)()
    for ours, theirs in zip(stored.split(4), resident.split(4), strict=True):
        assert torch.equal(ours, theirs)


def test_selected_images_stay_in_the_file_and_can_be_selected_from(stored, resident):
    order = torch.tensor([8, 3, 4, 0])
    chosen = stored.select(order).select(torch.tensor([3, 1]))
    assert isinstance(chosen, StoredImages)
    assert torch.equal(chosen[:], resident[[0, 3]])
    assert torch.equal(chosen[1], resident[3])
    assert len(stored) == 9


def test_pieces_are_bounded_and_hold_at_least_one_image(stored, resident, monkeypatch):
    for bound, most in ((50, 2), (1, 1)):
        monkeypatch.setattr("lottery_pipeline.images.stored.PIECE_BYTES", bound)
        pieces = list(stored.pieces())
        assert max(map(len, pieces)) == most
        assert torch.equal(torch.cat(pieces), resident)


def test_images_arrive_on_the_device_that_was_named(stored):
    there = stored.to("meta")
    assert there[:2].device.type == there.device.type == "meta"
    assert stored.device.type == there.cpu().device.type == "cpu"


@pytest.mark.parametrize("index", [torch.tensor([9]), torch.tensor([-1]), 9])
def test_an_image_that_is_not_there_is_an_index_error(stored, index):
    with pytest.raises(IndexError):
        stored[index]


def test_more_than_fits_in_memory_is_refused_before_it_is_read(stored, monkeypatch):
    monkeypatch.setattr("lottery_pipeline.images.stored.PIECE_BYTES", 100)
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: 100)
    assert len(stored[:4]) == 4
    with pytest.raises(ImageError, match=r"5 images that are read at once from .*pixels would take"):
        stored[:5]


def test_a_copy_in_another_process_opens_the_file_again(stored, resident):
    copied = pickle.loads(pickle.dumps(stored.select(torch.tensor([1, 2]))))
    assert torch.equal(copied[:], resident[1:3])


def test_a_file_of_the_moment_holds_the_images_and_leaves_no_name(resident, tmp_path):
    images = store_for_now(resident.split(4), SHAPE, beside=tmp_path / "images")
    assert torch.equal(images[:], resident)
    assert list(tmp_path.iterdir()) == []
