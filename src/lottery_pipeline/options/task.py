"""What a network is trained for."""

from typing import Literal

TaskName = Literal["classification", "segmentation", "keypoints"]
