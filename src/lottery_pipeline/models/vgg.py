"""CIFAR VGG-16 and VGG-19 (Simonyan & Zisserman 2015, as used on CIFAR): batch norm and one linear layer."""

from torch import Tensor, nn

from lottery_pipeline.models.initialisation import initialise_kaiming_

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class CifarVGG(nn.Module):
    """Five stages of 3x3 convolutions with batch norm, max-pools between, a global mean, a linear layer.

    At 32x32x3 and ten classes VGG-16 has 14.7 M and VGG-19 20.0 M parameters. Convolutions have no bias: the
    batch norm after each would cancel it.

    Args:
        depth: 16 or 19.
        num_classes: number of logits.
        channels: channels of an image.
    """

    def __init__(self, depth: int, num_classes: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stage, (width, count) in enumerate(zip(WIDTHS, CONVOLUTIONS[depth], strict=True)):
            if stage > 0:
                layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(WIDTHS[-1], num_classes)
        initialise_kaiming_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes] of normalised images [N, C, H, W]."""
        return self.fc(self.features(images).mean((2, 3)))
