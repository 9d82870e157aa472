import pytest
import torch

from lottery_pipeline.training.agreement import find_disagreement


def state(*weights, count=1):
    return {"weights": [torch.tensor(weights)], "buffers": [], "count": [torch.tensor(count)]}


START, ONCE = state(0.0, 0.0, count=0), state(3.0, 4.0)


@pytest.mark.parametrize(
    ("replayed", "again", "told"),
    [
        (ONCE, ONCE, ""),
        (state(3.004, 4.0), ONCE, ""),  # 0.0008 of the change, which is 5
        (state(3.006, 4.0), ONCE, "weights differ by 0.0012 of their change"),
        (state(3.006, 4.0), state(3.0, 4.001), ""),  # the step differs from itself by 0.001
        (ONCE, state(3.0, 6.0), "weights are not the same twice, by 0.4 of their change"),
        (state(3.0, 4.0, count=2), ONCE, "count differ by 1 of their change"),
        (state(3.0, float("nan")), ONCE, "weights differ by NaN of their change"),
    ],
)
def test_a_replay_agrees_as_far_as_the_step_agrees_with_itself(replayed, again, told):
    assert find_disagreement(START, replayed, ONCE, again) == told


def test_what_the_step_does_not_change_a_replay_must_not_change_either():
    assert find_disagreement(START, state(0.0, 1e-9, count=0), START, START).startswith("weights differ")
    assert find_disagreement(START, START, START, START) == ""


def test_steps_that_diverge_alike_agree():
    diverged = state(float("nan"), float("inf"))
    assert find_disagreement(START, diverged, diverged, diverged) == ""
