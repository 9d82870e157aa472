import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.reporting.sweeps.fronts import find_front

NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")])


def is_beaten(one, others):
    return any(
        cost <= one[0] and score >= one[1] and (cost, score) != one
        for cost, score in others
        if score == score
    )


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8))
def test_the_front_is_what_no_other_beats(pairs):
    front = find_front([cost for cost, _ in pairs], [score for _, score in pairs])
    for pair, on_front in zip(pairs, front, strict=True):
        known = not any(np.isnan(pair))
        assert on_front == (known and not is_beaten(pair, pairs))


def test_a_case_by_hand():
    # Costs 1 to 4: the third costs more than the second and scores less.
    assert find_front([4, 2, 3, 1], [0.9, 0.8, 0.7, 0.5]).tolist() == [True, True, False, True]
    assert find_front([], []).tolist() == []
