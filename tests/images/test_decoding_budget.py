import threading

import pytest

from lottery_pipeline.images import decoding_budget
from lottery_pipeline.images.decoding_budget import LEAST_BYTES, MOST_BYTES, DecodingBudget


def test_a_thread_waits_until_another_has_given_its_memory_back():
    budget = DecodingBudget(10)
    order = []

    def decode():
        with budget.hold(6):
            order.append("second")

    with budget.hold(6):
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_memory_is_given_back_when_decoding_fails():
    budget = DecodingBudget(10)
    for _ in range(3):
        with pytest.raises(ValueError, match="a broken file"), budget.hold(10):
            raise ValueError("a broken file")
    held = []

    def decode():
        with budget.hold(10):
            held.append(True)

    thread = threading.Thread(target=decode, daemon=True)
    thread.start()
    thread.join(5)
    assert held == [True]


def test_the_budget_is_half_of_what_is_free_beside_the_result(monkeypatch):
    monkeypatch.setattr(decoding_budget, "free_bytes", lambda: 2**30)
    assert DecodingBudget().size == 2**29
    assert DecodingBudget(reserved=2**29).size == 2**28
    assert DecodingBudget(reserved=2**30).size == LEAST_BYTES
    monkeypatch.setattr(decoding_budget, "free_bytes", lambda: 2**40)
    assert DecodingBudget().size == MOST_BYTES
