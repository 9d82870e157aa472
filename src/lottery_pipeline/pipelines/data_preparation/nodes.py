"""Nodes of data preparation."""

from pathlib import Path
from typing import Any

from lottery_pipeline.parameters import DataParameters, WorkParameters
from lottery_pipeline.tracking import current


def prepare_images(raw_images: Path, data: DataParameters, seed: int, work: WorkParameters) -> Any:
    """Prepare the images asked for, or return those that are stored if they are the same."""
    from lottery_pipeline.images import preparation
    from lottery_pipeline.images.splits_file import find_splits

    stored = find_splits(work.images, data.storage)
    images = preparation.prepare_images(data.resolve(raw_images), seed=seed, stored=stored, path=work.images)
    if images is stored:
        current().note_reuse("images", images.fingerprint)
    return images


def describe_images(images: Any) -> dict[str, Any]:
    """Describe the images: numbers as a whole and by class, and a look at some of them."""
    from lottery_pipeline.images import profile

    return profile.describe_images(images)
