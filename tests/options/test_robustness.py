"""Options of the robustness evaluation."""

from typing import Any

import pytest
from pydantic import ValidationError

from lottery_pipeline.options.robustness import AdversarialOptions


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eps": [1, 8]}, "eps is 8, but pixels are in [0, 1]; for 8 steps of 8-bit images write 8/255"),
        ({"eps_limit": 64}, "eps_limit is 64, but pixels are in [0, 1]; for 64 steps of 8-bit images write"),
        ({"step_size": 2}, "step_size is 2, but pixels are in [0, 1]; for 2 steps of 8-bit images write"),
        ({"eps": ["8/255", "2/255"]}, "eps must ascend"),
    ],
)
def test_a_distance_that_pixels_cannot_have_is_refused_by_its_name(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        AdversarialOptions.model_validate(options)
    assert words in str(refusal.value)


def test_euclidean_distances_of_whole_images_may_be_larger() -> None:
    options = {"norm": "L2", "eps": [0.5, 2], "eps_limit": 4, "step_size": 1.5}
    assert AdversarialOptions.model_validate(options).eps == (0.5, 2.0)
