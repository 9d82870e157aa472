import pytest
from torch import nn

from lottery_pipeline.models.normalisation import list_tracking, normalises_by_batch


@pytest.mark.parametrize(
    ("layer", "tracks", "by_batch"),
    [
        (nn.BatchNorm2d(2), True, False),
        (nn.BatchNorm2d(2, momentum=None, affine=False), True, False),
        (nn.SyncBatchNorm(2), True, False),
        (nn.BatchNorm2d(2, track_running_stats=False), False, True),
        (nn.BatchNorm1d(2, track_running_stats=False), False, True),
        (nn.InstanceNorm2d(2), False, False),
        (nn.InstanceNorm2d(2, track_running_stats=True), True, False),
        (nn.GroupNorm(1, 2), False, False),
    ],
)
def test_what_a_layer_keeps_says_whether_images_see_each_other(layer, tracks, by_batch):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), layer)
    assert list(list_tracking(model)) == ([layer] if tracks else [])
    assert normalises_by_batch(model) is by_batch
