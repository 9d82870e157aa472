"""The searchable block: three kernels side by side, a skip path, and an attention path where shapes allow it.

HR-NAS (arXiv 2106.06560) and SuperTickets (arXiv 2207.03677). A hidden channel of one kernel is what a search
keeps or removes; the gamma of the batch norm after its depthwise convolution is its importance.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from lottery_pipeline.models.supernet.attention import TokenAttention
from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.models.supernet.layout import BlockLayout
from lottery_pipeline.models.supernet.recompute import run_and_recompute


class KernelGroup(nn.Module):
    """One kernel size: expand (1x1), depthwise, project (1x1); batch norm and ReLU after the first two.

    Args:
        layout: of the block.
        kernel: side of the depthwise filters.
        width: number of hidden channels.
        config: of the supernet.
    """

    def __init__(self, layout: BlockLayout, kernel: int, width: int, config: Supernet) -> None:
        super().__init__()
        self.expand = nn.Conv2d(layout.channels_in, width, 1, bias=False)
        self.expand_norm = batch_norm(width, config)
        self.depthwise = nn.Conv2d(
            width, width, kernel, layout.stride, padding=kernel // 2, groups=width, bias=False
        )
        self.depthwise_norm = batch_norm(width, config)
        self.project = nn.Conv2d(width, layout.channels_out, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [N, C, H, W] to [N, C', H / stride, W / stride]."""
        hidden = relu(self.expand_norm(self.expand(features)))
        hidden = relu(self.depthwise_norm(self.depthwise(hidden)))
        projected: Tensor = self.project(hidden)
        return projected


class SearchBlock(nn.Module):
    """skip(x) + attention(x) + BN(sum of the groups), without activation after the sum.

    A block without groups has vanished: it is its skip path plus the constant that its batch norm makes of
    zeros. Groups and attention are named, not numbered, so what is left keeps its name.

    Args:
        layout: place, widths and sizes.
        config: of the supernet.
    """

    def __init__(self, layout: BlockLayout, config: Supernet) -> None:
        super().__init__()
        self.layout = layout
        self.decoder = config.attention.decoder
        self.recompute = config.recompute
        self.groups = nn.ModuleDict(
            {f"k{kernel}": KernelGroup(layout, kernel, width, config) for kernel, width in layout.hidden}
        )
        self.output_norm = batch_norm(layout.channels_out, config)
        self.skip: nn.Module | None = None
        if layout.skip_groups is not None:
            self.skip = nn.Conv2d(
                layout.channels_in,
                layout.channels_out,
                1,
                layout.stride,
                groups=layout.skip_groups,
                bias=False,
            )
        self.attention: TokenAttention | None = None
        if layout.tokens:
            self.attention = TokenAttention(
                layout.channels_in,
                layout.tokens,
                layout.grid,
                config.attention,
                bn_momentum=config.bn_momentum,
                bn_eps=config.bn_eps,
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map features [N, C, H, W] to [N, C', H / stride, W / stride]."""
        output: Tensor = features if self.skip is None else self.skip(features)
        if self.attention is not None:
            output = output + self.attention(features)
        if not self.groups:
            # Two images, because in training batch norm refuses a single value for each channel.
            zeros = output.new_zeros(2, output.shape[1], 1, 1)
            constant: Tensor = self.output_norm(zeros)
            return output + constant[:1]
        run = run_and_recompute if self.recompute else _run
        summed = sum(run(group, features) for group in self.groups.values())
        return output + self.output_norm(summed)


def batch_norm(channels: int, config: Supernet) -> nn.BatchNorm2d:
    """Return the batch norm of a supernet."""
    return nn.BatchNorm2d(channels, eps=config.bn_eps, momentum=config.bn_momentum)


def _run(module: nn.Module, features: Tensor) -> Tensor:
    output: Tensor = module(features)
    return output
