import pytest
from pydantic import ValidationError

from lottery_pipeline.models.supernet.architecture import BlockWidths

NAME = "network.stages.s1.branch1.block1"


def test_widths_survive_json():
    widths = BlockWidths(block=NAME, hidden=((3, 5), (7, 2)), tokens=4)
    assert BlockWidths.model_validate_json(widths.model_dump_json()) == widths
    assert widths.model_dump(mode="json") == {"block": NAME, "hidden": [[3, 5], [7, 2]], "tokens": 4}
    assert BlockWidths(block=NAME).hidden == ()


@pytest.mark.parametrize(
    "change",
    [
        {"block": "../x"},
        {"block": "x" * 201},
        {"hidden": [[5, 1], [3, 1]]},
        {"hidden": [[3, 1], [3, 1]]},
        {"hidden": [[3, 0]]},
        {"hidden": [[3, 10**9]]},
        {"hidden": [[3]]},
        {"hidden": [[kernel, 1] for kernel in range(1, 12)]},
        {"tokens": -1},
        {"tokens": 10**6},
        {"colour": 1},
    ],
)
def test_every_field_is_bounded(change):
    with pytest.raises(ValidationError):
        BlockWidths(**{"block": NAME} | change)
