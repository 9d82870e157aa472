"""Opens the study as the command line asks for it: in the process that was started, or in a worker."""

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.published.budget import Budget, TimedCheckpoints
from benchmarks.published.images import draw_digits, read_images
from benchmarks.published.plan import Row
from benchmarks.published.settings import SETTINGS, Setting
from benchmarks.published.store import claim, restore
from benchmarks.published.work import Study, work_through
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.training.arithmetic import set_arithmetic

RESULTS = Path(__file__).parent / "results"


def choose_setting(options: argparse.Namespace) -> tuple[str, Setting]:
    """Return the setting that is asked for, and its name."""
    name = "smallest" if options.smallest else options.setting
    if name not in SETTINGS:
        raise SystemExit(f"{name!r} is not a valid setting; there are {', '.join(SETTINGS)}")
    return name, SETTINGS[name]


def open_study(options: argparse.Namespace, began: float) -> tuple[Study, Budget]:
    """Read the images, and make sure that the folder belongs to them."""
    set_arithmetic()
    # Whether the steps are captured, and if not, why.
    logging.getLogger("lottery_pipeline.training.captured").setLevel(logging.DEBUG)
    budget = Budget(options.budget, began)
    name, setting = choose_setting(options)
    images = read_images(options.data) if setting.digits is None else draw_digits(setting.digits)
    identity = _identify(name, setting, images)
    claim(options.out, identity)
    restore(options.out, RESULTS / f"{name}.json", identity)
    logging.info(
        "%d training images, %d test images; %.0f s since the start.",
        len(images.train),
        len(images.test),
        time.monotonic() - began,
    )
    checkpoints = TimedCheckpoints(options.out / "checkpoints", budget)
    return Study(setting, images, options.out, options.device, checkpoints, options.jobs), budget


def make_measure(options: argparse.Namespace, began: float) -> Callable[[Row], bool]:
    """Open the study in a worker; its clock is that of the process that started it."""
    torch.set_num_threads(1)
    study, budget = open_study(options, began)
    return lambda row: work_through([row], study.has_row, study.measure, budget)


def _identify(name: str, setting: Setting, images: ImageSplits) -> dict[str, Any]:
    """Return what the rows of a folder have in common."""
    return {
        "name": name,
        "images": {
            "fingerprint": images.fingerprint,
            "train": len(images.train),
            "test": len(images.test),
            "source": images.source,
        },
        "recipe": setting.recipe.record(),
        "rewind_epoch": setting.rewind_epoch,
        "search_length": setting.length,
        "search_precision": setting.search_precision,
        "gates": setting.gates,
    }
