import pytest

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.supernet.choice import choose_supernet
from lottery_pipeline.models.supernet.presets import PRESETS

WHOLE = PRESETS["digits8"].model_dump(mode="json")
PLACE = "supertickets.extraction.supernet"


def test_a_preset_and_a_whole_configuration_are_taken():
    assert choose_supernet("digits8") == choose_supernet(WHOLE) == PRESETS["digits8"]


def test_a_head_for_another_task_is_replaced():
    assert choose_supernet(WHOLE, task="keypoints").head.task == "keypoints"
    assert choose_supernet("canvas32").head.task == "classification"


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            {**WHOLE, "stem_chanels": 3},
            (
                f"{PLACE}.stem_chanels is unknown: allowed are attention, bn_eps, bn_momentum, expand_ratio, "
                "head, input_stride, kernel_sizes, recompute, stages, stem_channels; "
                "did you mean stem_channels?"
            ),
        ),
        (
            {**WHOLE, "attention": {"token": 3}},
            (
                f"{PLACE}.attention.token is unknown: allowed are branches, coordinates, decoder, dropout, "
                "enabled, grid, heads, tokens; did you mean tokens?"
            ),
        ),
        (
            {**WHOLE, "stages": [{"blocks": [1], "channels": [8]}, {"blocks": [1], "channels": [8, 16]}]},
            f"{PLACE}.stages.1: blocks and channels of a stage need one entry for each branch, got 1 and 2",
        ),
        (
            {**WHOLE, "stages": [{"blocks": [1], "chanels": [8]}]},
            f"{PLACE}.stages.0.channels is missing",
        ),
        (
            {"stem_channels": 3},
            (
                f"{PLACE} lacks input_stride and stages: a configuration of your own must be given whole "
                "(at least input_stride, stem_channels, stages); or start from a preset: digits8, "
                "canvas32, cifar, hrnas"
            ),
        ),
        (
            {**WHOLE, "kernel_sizes": {}},
            (
                f"{PLACE}.kernel_sizes is {{}}: it must be a list of 1 to 4 entries, each a whole number "
                "from 1 to 15"
            ),
        ),
        ({**WHOLE, "input_stride": 3}, f"{PLACE}.input_stride is 3: it must be 1, 2 or 4"),
        (
            {**WHOLE, "attention": {"branches": "x"}},
            (
                f"{PLACE}.attention.branches is ['x']: it must be all, or a list of at most 8 entries, each "
                "a whole number from 1 to 8"
            ),
        ),
        (
            "digits9",
            (
                f"{PLACE}: unknown supernet 'digits9' (did you mean 'digits8'?); allowed are digits8, "
                "canvas32, cifar, hrnas"
            ),
        ),
        (
            "runs/architecture.json",
            (
                f"{PLACE} is 'runs/architecture.json', but a file is named in model.name: set model.name to "
                f"supernet:runs/architecture.json and {PLACE} to null"
            ),
        ),
    ],
)
def test_a_fault_is_one_sentence_with_the_full_place_and_what_is_allowed(choice, sentence):
    with pytest.raises(ModelError) as caught:
        choose_supernet(choice)
    assert str(caught.value) == sentence
