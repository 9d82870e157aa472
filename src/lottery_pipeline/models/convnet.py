"""Conv-2, Conv-4 and Conv-6 (Frankle & Carbin 2019, Fig. 2): small VGG-like networks without batch norm."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from lottery_pipeline.models.initialisation import initialise_glorot_

WIDTHS = (64, 128, 256)


class ConvNet(nn.Module):
    """Pairs of 3x3 convolutions, each pair followed by a 2x2 max-pool, then 256-256-classes linear layers.

    Weights at 32x32x3 and ten classes: Conv-2 4,300,992, Conv-4 2,425,024, Conv-6 2,261,184. The paper prints
    1.7 M for Conv-6, which does not follow from its own architecture.

    Args:
        depth: number of convolutions: 2, 4 or 6.
        num_classes: number of logits.
        channels: channels of an image.
        image_size: height and width, pixels.
    """

    def __init__(self, depth: int, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        stages = depth // 2
        widths = [channels, *(width for width in WIDTHS[:stages] for _ in range(2))]
        layers: list[nn.Module] = []
        for channels_in, channels_out in pairwise(widths):
            layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU()]
            if len(layers) % 5 == 4:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        height, width = image_size
        self.fc1 = nn.Linear(widths[-1] * (height >> stages) * (width >> stages), 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc = nn.Linear(256, num_classes)
        initialise_glorot_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes] of normalised images [N, C, H, W]."""
        hidden = relu(self.fc1(self.features(images).flatten(1)))
        return self.fc(relu(self.fc2(hidden)))
