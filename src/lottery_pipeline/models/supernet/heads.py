"""The heads of a supernet: what turns its branches into the input of the last layer.

As in the released code of HR-NAS (arXiv 2106.06560); what it does not define, the widths of a classifier with
other than four branches, comes from the configuration.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from lottery_pipeline.models.supernet.block import batch_norm
from lottery_pipeline.models.supernet.config import Supernet


class ClassificationHead(nn.Module):
    """Widens every branch, adds them up from the finest to the coarsest, and pools.

    Args:
        blocks: ``widen<i>`` for every branch and ``from<i>_to<i + 1>`` between them.
        config: of the supernet.
    """

    def __init__(self, blocks: dict[str, nn.Module], config: Supernet) -> None:
        super().__init__()
        for name, block in blocks.items():
            self.add_module(name, block)
        self.conv = nn.Conv2d(config.head_channels()[-1], config.head_width(), 1, bias=False)
        self.norm = batch_norm(config.head_width(), config)
        self.dropout = nn.Dropout(config.head.dropout)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Return [N, width] of feature maps [N, C_i, H_i, W_i], finest first."""
        features = self.get_submodule("widen1")(branches[0])
        for number, branch in enumerate(branches[1:], 2):
            widened = self.get_submodule(f"widen{number}")(branch)
            features = widened + self.get_submodule(f"from{number - 1}_to{number}")(features)
        pooled: Tensor = self.dropout(relu(self.norm(self.conv(features))).mean((2, 3)))
        return pooled


class DenseHead(nn.Module):
    """Resizes all branches to the finest one and mixes them in one searchable block.

    Args:
        blocks: ``transform``.
    """

    def __init__(self, blocks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.transform = blocks["transform"]

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Return [N, width, H_1, W_1] of feature maps [N, C_i, H_i, W_i], finest first."""
        size = branches[0].shape[2:]
        others = (
            interpolate(branch, size=size, mode="bilinear", align_corners=False) for branch in branches[1:]
        )
        mixed: Tensor = self.transform(torch.cat((branches[0], *others), 1))
        return mixed
