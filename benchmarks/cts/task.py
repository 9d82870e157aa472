"""One seed of a setting: its images and its dense network, prepared or read."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.cts.settings import SETTINGS, Setting
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run

WORK = Path(__file__).parents[2] / "data" / "work" / "cts_vs_ltr"


@dataclass(frozen=True)
class Task:
    """One seed of a setting: where its rows lie, and what its networks are made of."""

    setting: Setting
    folder: Path
    images: ImageSplits
    dense: DenseRun
    seed: int
    device: str
    checkpoints: Checkpoints = field(repr=False)


def prepare(name: str, seed: int, root: str | None, device: str, rungs: list[int] | None) -> Task:
    """Read the images, and train the dense network or read it."""
    setting, folder = SETTINGS[name], WORK / name / f"seed{seed}"
    setting = replace(setting, rungs=tuple(rungs)) if rungs else setting
    stored, dense_path = folder / "images.safetensors", folder / "dense.safetensors"
    if not stored.exists():
        folder.mkdir(parents=True, exist_ok=True)
        request = ImageRequest(**setting.images, **({"root": root} if root else {}))
        save_splits(prepare_images(request, seed=seed), stored)
    images = load_splits(stored)
    spec = ModelSpec(
        name=setting.model,
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
    )
    checkpoints = Checkpoints(folder / "checkpoints")
    dense = pretrain(
        images,
        spec,
        setting.recipe,
        rewind_epoch=setting.rewind_epoch,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        stored=load_dense_run(dense_path) if dense_path.exists() else None,
        allow_factory=setting.factory,
    )
    save_dense_run(dense, dense_path)
    if not (folder / "dense.json").exists():
        record = {
            "seed": seed,
            "test_accuracy": dense.metrics["test_accuracy"],
            "validation_curve": [row["validation_accuracy"] for row in dense.history],
        }
        if setting.doubled:
            longer = pretrain(
                images,
                spec,
                setting.recipe.replace(epochs=2 * (setting.recipe.epochs or 1)),
                rewind_epoch=setting.rewind_epoch,
                seed=seed,
                device=device,
                checkpoints=checkpoints,
                allow_factory=setting.factory,
            )
            record["test_accuracy_twice_the_epochs"] = longer.metrics["test_accuracy"]
        write_atomically(folder / "dense.json", json.dumps(record).encode())
    checkpoints.clear_used()
    return Task(setting, folder, images, dense, seed, device, checkpoints)
