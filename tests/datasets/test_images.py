from lottery_pipeline.datasets.images import ImageSplitsDataset
from tests.images.builders import make_splits


def test_images_are_loaded_as_a_run_wants_them(tmp_path):
    images = make_splits()
    for storage, found in (("auto", "memory"), ("memory", "memory"), ("disk", "disk")):
        dataset = ImageSplitsDataset(filepath=str(tmp_path / "images.safetensors"))
        dataset.storage = storage
        dataset.save(images)
        assert dataset.load().storage == found
        dataset.release()
        assert dataset.load().storage == found
        assert dataset.load().fingerprint == images.fingerprint


def test_images_on_disk_are_saved_without_being_written_again(tmp_path):
    path = tmp_path / "images.safetensors"
    dataset = ImageSplitsDataset(filepath=str(path))
    dataset.storage = "disk"
    dataset.save(make_splits())
    stored, before = dataset.load(), path.stat().st_mtime_ns
    dataset.save(stored)
    assert dataset.load() is stored
    assert path.stat().st_mtime_ns == before
