import pytest
import torch

from lottery_pipeline.methods.filter.selection import nearest_count, order_removals, value_channels
from lottery_pipeline.surgery.channels import ChannelGroup
from lottery_pipeline.tickets.errors import TicketError
from tests.reference.channels_naive import nearest_naive


def test_the_least_important_channels_of_all_layers_go_first():
    values = {"a": torch.tensor([3.0, 1.0, 2.0]), "b": torch.tensor([0.5, 2.5])}
    assert order_removals(values, 1) == [("b", 0), ("a", 1), ("a", 2)]


def test_the_best_channels_of_every_layer_stay():
    values = {"a": torch.tensor([3.0, 1.0, 2.0]), "b": torch.tensor([0.5, 2.5])}
    assert order_removals(values, 2) == [("a", 1)]
    assert order_removals(values, 3) == []


def test_of_equal_channels_the_last_goes_first():
    values = {"a": torch.ones(2), "b": torch.ones(2)}
    assert order_removals(values, 1) == [("b", 1), ("a", 1)]


@pytest.mark.parametrize("target", range(1, 24))
def test_the_nearest_size_is_found_without_a_walk(target):
    sizes = [23, 19, 17, 10, 9, 4, 1]
    assert nearest_count(sizes.__getitem__, 6, target) == nearest_naive(sizes, target)


def test_few_sizes_are_looked_at():
    looked = []

    def size_after(removals):
        looked.append(removals)
        return 1000 - removals

    assert nearest_count(size_after, 999, 317) == 683
    assert len(looked) < 15


def test_a_size_below_all_is_refused():
    with pytest.raises(TicketError, match="down to 3, the least it can reach is 4"):
        nearest_count([9, 4].__getitem__, 1, 3)


def test_coupled_filters_are_summed():
    group = ChannelGroup(2, ("a", "b"), (), (("c", 1),))
    scores = {"a.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b.weight": torch.tensor([[10.0], [20.0]])}
    assert value_channels([group], scores, "l1")["a"].tolist() == [13.0, 27.0]
