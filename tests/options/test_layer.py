import pytest
from pydantic import ValidationError

from lottery_pipeline.options.layer import LayerOptions


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "exactly one of removed and mac_budget"),
        ({"removed": 1, "mac_budget": 0.5}, "exactly one of removed and mac_budget"),
        ({"removed": -1}, "greater than or equal to 0"),
        ({"removed": True}, "valid integer"),
        ({"mac_budget": 1.0}, "less than 1"),
        ({"mac_budget": 0.0}, "greater than 0"),
        ({"removed": 1, "criterion": "l1"}, "'snip', 'grasp'"),
        ({"removed": 1, "criterion": []}, "at least 1 item"),
        ({"removed": 1, "criterion": ["snip", "snip"]}, "twice"),
        ({"removed": 1, "rewinding": "reinit", "start": "rewind"}, "belongs to rewinding: weights"),
        ({"removed": 1, "rewinding": "learning_rate", "start": "rewind"}, "begins at step 0"),
        ({"removed": 1, "min_blocks_per_stage": 0}, "greater than or equal to 1"),
        ({"removed": 1, "blocks": 2}, "Extra inputs"),
    ],
)
def test_a_wrong_option_is_refused_with_its_reason(values, message):
    with pytest.raises(ValidationError, match=message):
        LayerOptions(**values)


def test_criteria_may_be_one_word_words_or_a_list():
    assert LayerOptions(removed=1, criterion="snip").criterion == ("snip",)
    assert LayerOptions(removed=1, criterion="snip cka").criterion == ("snip", "cka")
    assert LayerOptions(removed=1, criterion=["kl", "random"]).criterion == ("kl", "random")


def test_gradients_are_taken_at_the_start_and_outputs_at_the_end_unless_told_otherwise():
    options = LayerOptions(removed=1)
    assert [options.state_of(name) for name in ("snip", "grasp", "random")] == ["initial"] * 3
    assert [options.state_of(name) for name in ("kl", "cka", "expectabs", "hrank")] == ["final"] * 4
    assert LayerOptions(removed=1, iterative=True).state_of("snip") == "final"
    assert LayerOptions(removed=1, iterative=True, state="initial").state_of("kl") == "initial"
    assert LayerOptions(removed=1, state="rewind").state_of("snip") == "rewind"
