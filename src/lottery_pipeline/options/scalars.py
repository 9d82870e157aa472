"""Values of a run that stand alone, outside any group: seed, device, variant and the like."""

import re
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from lottery_pipeline.options.lists import DISTINCT, read_lists
from lottery_pipeline.options.methods import COMPOSITIONS, METHODS


def _check_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ValueError(
            f"{device!r} is not a valid device; allowed are auto, cpu, cuda, cuda:<index> and mps"
        )
    return device


def _check_variant(variant: str) -> str:
    # It becomes the name of a folder, and must not climb out of its parent.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,99}", variant):
        raise ValueError(
            f"{variant!r} cannot be the name of a folder here; allowed are letters, digits and . _ = -, "
            "with a letter or digit first"
        )
    return variant


def _check_left_out(name: str) -> str:
    allowed = (*METHODS, *COMPOSITIONS, *_OTHER_BLOCKS)
    if name not in allowed:
        raise ValueError(f"{name!r} cannot be left out; allowed are {', '.join(allowed)}")
    return name


_OTHER_BLOCKS = ("signature_embedding", "ownership_verification", "robustness_evaluation")
LeftOutBlocks = Annotated[
    tuple[Annotated[str, AfterValidator(_check_left_out)], ...],
    BeforeValidator(partial(read_lists, tuple[str, ...])),
    DISTINCT,
]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Device = Annotated[str, AfterValidator(_check_device)]
Threads = Annotated[int, Field(strict=True, ge=1, le=1024)] | None
Variant = Annotated[str, AfterValidator(_check_variant)]
FilePath = Annotated[str, Field(min_length=1, max_length=4096)]
