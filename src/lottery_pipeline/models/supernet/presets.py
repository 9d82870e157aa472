"""Supernets by name: three small ones of our own and the one of HR-NAS (arXiv 2106.06560)."""

from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet

_SMALL_ATTENTION = Attention(tokens=8, grid=4)
_SMALL_STAGES = (Stage(blocks=(1,), channels=(8,)), Stage(blocks=(1, 1), channels=(8, 16)))

# hrnas: widths, depths, head and batch norm are those of the released code, which has no attention in its
# search: ``enabled`` turns it on. The other three are sized for a CPU.
PRESETS: dict[str, Supernet] = {
    "digits8": Supernet(
        input_stride=1,
        stem_channels=8,
        stages=_SMALL_STAGES,
        expand_ratio=2,
        attention=_SMALL_ATTENTION,
        head=Head(width=64),
    ),
    "canvas32": Supernet(
        input_stride=2,
        stem_channels=8,
        stages=_SMALL_STAGES,
        expand_ratio=2,
        attention=_SMALL_ATTENTION,
        head=Head(task="segmentation"),
    ),
    "cifar": Supernet(
        input_stride=1,
        stem_channels=16,
        stages=(
            Stage(blocks=(1,), channels=(16,)),
            Stage(blocks=(2, 2), channels=(12, 24)),
            Stage(blocks=(2, 2, 2), channels=(12, 24, 48)),
        ),
        attention=Attention(tokens=32, grid=8),
        recompute=True,
    ),
    "hrnas": Supernet(
        input_stride=4,
        stem_channels=24,
        stages=(
            Stage(blocks=(1,), channels=(24,)),
            Stage(blocks=(2, 2), channels=(18, 36)),
            Stage(blocks=(2, 2, 3), channels=(18, 36, 72)),
            Stage(blocks=(2, 2, 3, 4), channels=(18, 36, 72, 144)),
            Stage(blocks=(2, 2, 3, 4), channels=(18, 36, 72, 144)),
        ),
        attention=Attention(enabled=False),
        head=Head(channels=(36, 72, 144, 320), width=1600, dropout=0.2),
        bn_momentum=0.01,
        bn_eps=1e-3,
        recompute=True,
    ),
}
