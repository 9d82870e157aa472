"""The network that attacks are tried on: the dense ResNet-20 of a setting."""

from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.robustness.settings import SETTINGS
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.dense import pretrain
from lottery_pipeline.training.dense_file import find_dense_run, save_dense_run


def train_network(
    name: str, work: Path, *, root: str | None = None, count: int | None = None
) -> tuple[nn.Module, Tensor, Tensor]:
    """Train it, or read it from a folder.

    Args:
        name: of the setting.
        work: folder.
        root: of the images, if the setting needs one.
        count: test images to return, all by default.

    Returns:
        The network in evaluation mode, test images [N, C, H, W] in [0, 1], and their labels.
    """
    setting = SETTINGS[name]
    images = setting.prepare(root)
    path = work / name / "standard" / "seed_0" / "dense.safetensors"  # that of `tickets`
    dense = pretrain(
        images,
        setting.specify(images),
        setting.recipe,
        rewind_epoch=setting.rewind_epoch,
        seed=0,
        device="cpu",
        stored=find_dense_run(path),
    )
    save_dense_run(dense, path)
    model = build_model(dense.spec, seed=0)
    model.load_state_dict(dense.final)
    model.eval().requires_grad_(False)
    model.to(memory_format=torch.channels_last)
    pixels = to_pixels(images.test.images.permute(0, 2, 3, 1))
    return model, pixels[:count], images.test.labels[:count]
