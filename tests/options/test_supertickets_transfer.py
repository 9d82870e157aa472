"""Options of transfer: which tasks and heads go together."""

from typing import get_args

import pytest
from pydantic import ValidationError

from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.options.task import TaskName


def test_the_tasks_are_those_that_images_can_have():
    assert TransferOptions().tasks == get_args(TaskName)


def test_lists_may_be_words():
    chosen = TransferOptions.model_validate(
        {"tasks": "keypoints segmentation", "controls": "dense", "seeds": 5}
    )
    assert (chosen.tasks, chosen.controls, chosen.seeds) == (("keypoints", "segmentation"), ("dense",), (5,))
    assert TransferOptions.model_validate({"controls": []}).controls == ()


def test_a_head_is_carried_between_tasks_whose_heads_have_the_same_shapes():
    tasks = ("segmentation", "keypoints")
    assert TransferOptions(tasks=tasks, head="carry").head == "carry"
    for others in (("classification", "keypoints"), TransferOptions().tasks):
        with pytest.raises(
            ValidationError, match="the head of classification fits no other task; set head to"
        ):
            TransferOptions(tasks=others, head="carry")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tasks": ["segmentation"]}, "at least 2 items"),
        ({"tasks": ["segmentation", "segmentation"]}, "tasks must not name the same value twice"),
        ({"tasks": ["segmentation", "depth"]}, "'classification', 'segmentation' or 'keypoints'"),
        ({"controls": ["shuffled"]}, "'reinitialised', 'random_mask', 'dense' or 'direct'"),
        ({"head": "new"}, "'fresh' or 'carry'"),
        ({"seeds": []}, "at least 1 item"),
        ({"frozen": True}, "Extra inputs are not permitted"),
    ],
)
def test_bad_options_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        TransferOptions.model_validate(values)
