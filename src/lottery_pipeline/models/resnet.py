"""CIFAR ResNets (He et al. 2016, section 4.2) with 1x1-convolution shortcuts (option B)."""

from torch import Tensor, nn
from torch.nn.functional import relu

from lottery_pipeline.models.initialisation import initialise_kaiming_

WIDTHS = (16, 32, 64)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut; it has a ``downsample`` if the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels_out))

    def forward(self, images: Tensor) -> Tensor:
        """Map features [N, C, H, W] to [N, C', H / stride, W / stride]."""
        shortcut = images if self.downsample is None else self.downsample(images)
        hidden = relu(self.bn1(self.conv1(images)))
        return relu(self.bn2(self.conv2(hidden)) + shortcut)


class CifarResNet(nn.Module):
    """ResNet-(6n+2): a 3x3 stem and three stages of n blocks of 16, 32 and 64 channels.

    ResNet-20 at 32x32x3 and ten classes has 272,474 parameters, 270,896 of them prunable weights.

    Args:
        depth: 6n + 2 layers.
        num_classes: number of logits.
        channels: channels of an image.
    """

    def __init__(self, depth: int, num_classes: int, channels: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], blocks, stride=1)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], blocks, stride=2)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], blocks, stride=2)
        self.fc = nn.Linear(WIDTHS[2], num_classes)
        initialise_kaiming_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes] of normalised images [N, C, H, W]."""
        hidden = relu(self.bn1(self.conv1(images)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        return self.fc(hidden.mean((2, 3)))


def _stage(channels_in: int, channels_out: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride)
    return nn.Sequential(first, *(BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)))
