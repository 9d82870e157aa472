"""LeNet-300-100 (Frankle & Carbin 2019, Fig. 2): two hidden layers on the flattened image."""

from torch import Tensor, nn
from torch.nn.functional import relu

from lottery_pipeline.models.initialisation import initialise_glorot_


class LeNet300100(nn.Module):
    """Fully connected 300-100-classes network: 266,200 weights on 28x28x1 and ten classes.

    Args:
        num_classes: number of logits.
        channels: channels of an image.
        image_size: height and width, pixels.
    """

    def __init__(self, num_classes: int, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels * image_size[0] * image_size[1], 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc = nn.Linear(100, num_classes)
        initialise_glorot_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes] of normalised images [N, C, H, W]."""
        hidden = relu(self.fc1(images.flatten(1)))
        return self.fc(relu(self.fc2(hidden)))
