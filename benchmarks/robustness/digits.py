"""The network of these measurements: a ResNet-20 trained on digits with the recipe of the default run."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.models.choice import specify_model
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.dense import find_dense_run, pretrain, save_dense_run
from lottery_pipeline.training.recipe import Recipe

RECIPE = Recipe(
    learning_rate=0.1,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1,
    epochs=13,
    batch_size=64,
    crop_padding=1,
)


def train_network(work: Path) -> tuple[nn.Module, Tensor, Tensor]:
    """Train it, or read it from a folder; return it, the test images [N, C, H, W] in [0, 1], and labels."""
    images = prepare_images(ImageRequest(), seed=0)
    spec = specify_model(
        "resnet20",
        ignore_layers=(),
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
        task=images.task,
    )
    path = work / "digits.safetensors"
    stored = find_dense_run(path)
    dense = pretrain(images, spec, RECIPE, rewind_epoch=2, seed=0, device="cpu", stored=stored)
    save_dense_run(dense, path)
    model = build_model(spec, seed=0)
    model.load_state_dict(dense.final)
    model.eval().requires_grad_(False)
    model.to(memory_format=torch.channels_last)
    return model, to_pixels(images.test.images.permute(0, 2, 3, 1)), images.test.labels
