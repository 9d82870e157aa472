"""Groups of tensors in one checkpoint."""

import torch

from lottery_pipeline.training.state import (
    copy_to_cpu,
    has_shapes,
    join_groups,
    take_group,
    take_numbered_groups,
)

GROUPS = {
    "model": {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)},
    "snapshot/2": {"w": torch.full((1,), 2.0)},
    "snapshot/10": {"w": torch.full((1,), 10.0)},
}


def test_groups_come_back_from_one_dictionary() -> None:
    joined = join_groups(GROUPS)
    assert set(joined) == {"model/fc.weight", "model/fc.bias", "snapshot/2/w", "snapshot/10/w"}
    assert take_group(joined, "model").keys() == {"fc.weight", "fc.bias"}
    assert take_group(joined, "mod") == {}


def test_numbered_groups_are_in_the_order_of_numbers_not_of_words() -> None:
    groups = take_numbered_groups(join_groups(GROUPS), "snapshot")
    assert [(number, group["w"].item()) for number, group in groups.items()] == [(2, 2.0), (10, 10.0)]


def test_copies_share_no_memory_and_are_plain() -> None:
    tensor = torch.arange(6.0).reshape(2, 3).t()
    copy = copy_to_cpu({"w": tensor})["w"]
    tensor.zero_()
    assert copy.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert copy.is_contiguous()


def test_shapes_are_those_of_all_that_is_wanted() -> None:
    joined, wanted = join_groups(GROUPS), {"model": GROUPS["model"]}
    assert has_shapes(joined, wanted)
    assert not has_shapes(joined, {"model": {"fc.bias": torch.zeros(3)}})
    assert not has_shapes({"model/fc.bias": torch.zeros(2)}, wanted)
