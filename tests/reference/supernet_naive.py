"""The backbone of a supernet written down once more, path by path, after the prose of HR-NAS (2106.06560)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lottery_pipeline.models.supernet.config import Supernet


def run_backbone(network: nn.Module, config: Supernet, images: Tensor) -> list[Tensor]:
    """Return the branches after the last stage; blocks are looked up by their names."""
    maps = [_stem(network, config, images)]
    for number, stage in enumerate(config.stages, 1):
        prefix = f"stages.s{number}"
        fused: list[Tensor] = []
        for target in range(1, len(stage.channels) + 1):
            if target > len(maps):
                fused.append(network.get_submodule(f"{prefix}.fuse.from{target - 1}_to{target}")(fused[-1]))
                continue
            total = None
            for source in range(1, len(maps) + 1):
                if abs(source - target) > 1:
                    continue
                term = network.get_submodule(f"{prefix}.fuse.from{source}_to{target}")(maps[source - 1])
                if source > target:  # each pixel of the coarser branch four times, the overhang cut off
                    term = term.repeat_interleave(2, 2).repeat_interleave(2, 3)
                    rows, columns = maps[target - 1].shape[2:]
                    term = _stretch(term, rows, columns)
                total = term if total is None else total + term
            fused.append(torch.relu(total))
        maps = []
        for target, features in enumerate(fused, 1):
            for block in range(1, stage.blocks[target - 1] + 1):
                features = network.get_submodule(f"{prefix}.branch{target}.block{block}")(features)
            maps.append(features)
    return maps


def _stem(network: nn.Module, config: Supernet, images: Tensor) -> Tensor:
    for number in (1, 2) if config.input_stride == 4 else (1,):
        conv = network.get_submodule(f"stem.conv{number}")
        images = torch.relu(network.get_submodule(f"stem.norm{number}")(conv(images)))
    return images


def _stretch(doubled: Tensor, rows: int, columns: int) -> Tensor:
    """Resize doubled maps to an odd size: the nearest pixel of the maps before doubling."""
    if doubled.shape[2:] == (rows, columns):
        return doubled
    return interpolate(doubled[:, :, ::2, ::2], size=(rows, columns), mode="nearest")
