import pytest
import torch

from lottery_pipeline.costs.machine import name_processor, thread_number


def test_the_processor_has_a_name():
    assert name_processor(torch.device("cpu")).strip()


def test_threads_are_as_before_even_after_an_error():
    before = torch.get_num_threads()

    def fail():
        with thread_number(before + 1):
            assert torch.get_num_threads() == before + 1
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    assert torch.get_num_threads() == before


def test_no_number_of_threads_changes_nothing():
    before = torch.get_num_threads()
    with thread_number(None):
        assert torch.get_num_threads() == before
