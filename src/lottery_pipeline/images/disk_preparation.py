"""Preparation with little memory: images are read piece by piece into the file from which they are used."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lottery_pipeline.images.draft import Draft
from lottery_pipeline.images.duplicates import hash_images, warn_of_duplicates
from lottery_pipeline.images.labelled import LabelledImages, Partition
from lottery_pipeline.images.progress import report_progress
from lottery_pipeline.images.splits import PARTS, ImageSet, ImageSplits, fingerprint_content
from lottery_pipeline.images.splits_file import FORMAT_VERSION, Header, write_header
from lottery_pipeline.images.statistics import ChannelSums
from lottery_pipeline.reproducibility.fingerprints import FINGERPRINT_LENGTH, TensorDigest

_LONGEST_NUMBER = 1.2345678901234567e-300  # as a text


def prepare_on_disk(
    images: LabelledImages, partition: Partition, path: Path, *, request: str, source: str
) -> ImageSplits:
    """Prepare images in a file beside ``path``, which ``save_splits`` moves there.

    Each piece is read, written, hashed and measured while the next one is decoded. After a kill the pieces
    that were written are only hashed and measured again.

    Args:
        images: of a source that can be read in pieces; with classes.
        partition: of the images.
        path: where the file is to be.
        request: fingerprint of request, seed and files.
        source: name of the source.

    Returns:
        The splits that would be made in memory, with the same fingerprint.

    Raises:
        ImageError: an image cannot be read, or the disk has no room.
        StorageError: the file cannot be written.
    """
    assert images.pieces is not None  # noqa: S101 (the caller has asked)
    pieces = images.pieces(np.concatenate(partition))
    indices = dict(zip(PARTS, partition, strict=True))
    labels = {part: torch.from_numpy(images.labels[chosen]) for part, chosen in indices.items()}
    channels = pieces.shape[0]

    def describe(mean: tuple[float, ...], std: tuple[float, ...], content: str) -> Header:
        return Header(
            format_version=FORMAT_VERSION,
            class_names=list(images.class_names),
            mean=list(mean),
            std=list(std),
            fingerprint=content,
            request=request,
            source=source,
        )

    widest = (_LONGEST_NUMBER,) * channels
    longest = write_header(describe(widest, widest, "0" * FINGERPRINT_LENGTH))
    draft = Draft(path, labels, pieces.shape, longest=longest, key=request)
    digest, sums = TensorDigest(), ChannelSums(channels)
    hashes: dict[str, list[bytes]] = {part: [] for part in PARTS}

    def fill() -> Iterator[int]:
        """Fill the draft; yield how many images were added."""
        for part in sorted(PARTS):
            chosen = indices[part]
            digest.begin(f"{part}.images", torch.uint8, (len(chosen), *pieces.shape))
            for piece in draft.fill(part, lambda start, stop: pieces.read(chosen[start:stop])):  # noqa: B023
                digest.add(piece)
                hashes[part] += hash_images(piece)
                if part == "train":
                    sums.add(piece)
                yield len(piece)
            digest.begin(f"{part}.labels", torch.int64, (len(chosen),))
            digest.add(labels[part])

    report_progress(fill(), total=sum(map(len, partition)), label="preparing images on disk")
    warn_of_duplicates(hashes)
    mean, std = sums.measure()
    content = fingerprint_content(digest.hexdigest(), images.class_names, mean, std)
    header = describe(mean, std, content)
    found = draft.finish(write_header(header))
    return header.describe(*(ImageSet(found[part], labels[part]) for part in PARTS))
