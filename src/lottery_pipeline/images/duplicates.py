"""Images that are in two parts of a split: exact duplicates, told by their hashes."""

import hashlib
import logging
from collections.abc import Mapping, Sequence

from torch import Tensor

from lottery_pipeline.images.memory import IMAGES_PER_CHUNK
from lottery_pipeline.images.stored import StoredImages

logger = logging.getLogger(__name__)


def hash_images(images: Tensor | StoredImages) -> list[bytes]:
    """Return 16 bytes of BLAKE2b for each image."""
    batches = images.cpu().split(IMAGES_PER_CHUNK)
    return [hashlib.blake2b(image, digest_size=16).digest() for batch in batches for image in batch.numpy()]


def warn_of_duplicates(hashes: Mapping[str, Sequence[bytes]]) -> None:
    """Warn of test and validation images with an exact duplicate in another part: they flatter accuracy.

    Args:
        hashes: of the images of each part.
    """
    train, validation = set(hashes["train"]), set(hashes["validation"])
    counts = {
        "test": sum(h in train or h in validation for h in hashes["test"]),
        "validation": sum(h in train for h in hashes["validation"]),
    }
    for part, count in counts.items():
        if count:
            logger.warning("images: %d %s images are exact duplicates of training images", count, part)
