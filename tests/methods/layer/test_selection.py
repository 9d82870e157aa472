import pytest

from lottery_pipeline.methods.layer.selection import (
    Demand,
    choose_blocks,
    choose_one,
    order_blocks,
    plan_removal,
)
from lottery_pipeline.models.blocks import Block, list_candidates, stage_sizes
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.tickets.errors import TicketError

BLOCK_MACS = 4_718_592
CIFAR = (3, 32, 32)


def build(name):
    spec = ModelSpec(
        name=name, num_classes=10, channels=3, image_size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3
    )
    return build_model(spec, seed=0, device="meta")


def blocks(*names):
    """Blocks ``a1`` is in stage ``a``."""
    return [Block(name, name[0], identity=True, first=False) for name in names]


def names(found):
    return [block.name for block in found]


def test_the_lowest_score_goes_first_and_equals_go_in_network_order():
    candidates = blocks("a1", "a2", "b1", "b2")
    assert names(order_blocks(candidates, [{"a1": 3, "a2": 1, "b1": 1, "b2": 0}])) == ["b2", "a2", "b1", "a1"]


def test_scores_in_another_order_change_nothing():
    scores = {"b2": 0, "b1": 1, "a2": 1, "a1": 3}
    assert names(order_blocks(blocks("a1", "a2", "b1", "b2"), [scores]))[:2] == ["b2", "a2"]


def test_a_consensus_adds_up_ranks_and_not_scores():
    # Ranks 1 2 3 and 2 1 3 and 2 3 1: sums 5, 6, 7, however large the scores are.
    scores = [
        {"a1": 0.1, "a2": 0.2, "b1": 0.3},
        {"a1": 1e9, "a2": 0.0, "b1": 2e9},
        {"a1": -2, "a2": -1, "b1": -3},
    ]
    assert names(order_blocks(blocks("a1", "a2", "b1"), scores)) == ["a1", "a2", "b1"]
    assert names(order_blocks(blocks("a1", "a2", "b1"), scores[1:])) == ["a1", "a2", "b1"]  # 4, 4, 4: ties
    assert names(order_blocks(blocks("a1", "a2", "b1"), scores[2:])) == ["b1", "a1", "a2"]


def test_a_block_of_a_stage_at_its_floor_is_skipped_and_the_next_goes():
    order, sizes = blocks("a1", "a2", "b1", "a3"), {"a": 3, "b": 3}
    demand = Demand(dict.fromkeys(names(order), 1), 2, 2)
    assert choose_blocks(order, sizes, demand) == ["a1", "b1"]
    assert choose_one(order, sizes, demand) == ["a1"]
    assert choose_blocks(order, sizes, Demand(demand.costs, 3, 1)) == ["a1", "a2", "b1"]


def test_a_goal_of_macs_ends_with_the_block_that_meets_it():
    order, costs = blocks("a1", "b1", "a2"), {"a1": 5, "b1": 3, "a2": 5}
    assert choose_blocks(order, {"a": 4, "b": 4}, Demand(costs, 8, 2)) == ["a1", "b1"]
    assert choose_blocks(order, {"a": 4, "b": 4}, Demand(costs, 9, 2)) == ["a1", "b1", "a2"]
    with pytest.raises(TicketError, match="do not meet the mac_budget"):
        choose_blocks(order, {"a": 3, "b": 4}, Demand(costs, 9, 2))


@pytest.mark.parametrize(("name", "candidates", "most"), [("resnet32", 12, 9), ("resnet56", 24, 21)])
def test_more_blocks_than_can_go_are_refused_with_the_most(name, candidates, most):
    model = build(name)
    assert plan_removal(model, LayerOptions(removed=most), CIFAR).goal == most
    with pytest.raises(TicketError, match=f"removed is {most + 1}.*at most {most} of its {candidates}"):
        plan_removal(model, LayerOptions(removed=most + 1), CIFAR)


@pytest.mark.parametrize(("name", "share"), [("resnet32", 0.06826), ("resnet56", 0.037525)])
@pytest.mark.parametrize("count", [1, 5, 9])
def test_so_many_blocks_save_the_published_share_of_macs(name, share, count):
    model = build(name)
    candidates = list_candidates(model)
    demand = plan_removal(model, LayerOptions(mac_budget=1 - count * share + 1e-4), CIFAR)
    assert set(demand.costs.values()) == {BLOCK_MACS}
    assert len(choose_blocks(candidates, stage_sizes(model), demand)) == count


def test_the_smallest_resnet56_saves_what_a_later_paper_reports():
    model = build("resnet56")
    total = 125_747_840
    budget = (total - 21 * BLOCK_MACS) / total
    assert round(1 - budget, 4) == 0.7880
    assert plan_removal(model, LayerOptions(mac_budget=budget), CIFAR).goal == 21 * BLOCK_MACS
    with pytest.raises(TicketError, match=r"at least 0.2120 .* at most 21 of its 24"):
        plan_removal(model, LayerOptions(mac_budget=budget - 0.001), CIFAR)


def test_a_budget_that_is_not_exact_takes_no_block_too_many():
    share = 1 - 14 * BLOCK_MACS / 125_747_840
    assert int(share * 125_747_840) == 125_747_840 - 14 * BLOCK_MACS - 1
    demand = plan_removal(build("resnet56"), LayerOptions(mac_budget=share), CIFAR)
    assert demand.goal == 14 * BLOCK_MACS


def test_the_floor_and_the_first_block_are_options():
    model = build("resnet32")
    assert plan_removal(model, LayerOptions(removed=12, min_blocks_per_stage=1), CIFAR).goal == 12
    options = LayerOptions(removed=9, allow_first_block_of_stage1=True)
    assert "network.layer1.0" in plan_removal(model, options, CIFAR).costs
