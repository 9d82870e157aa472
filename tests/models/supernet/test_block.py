from dataclasses import replace

import pytest
import torch

from lottery_pipeline.models.supernet.block import SearchBlock
from lottery_pipeline.models.supernet.layout import lay_out
from tests.models.supernet.networks import TINY

LAYOUTS = lay_out(TINY, (8, 8))
SAME = LAYOUTS["network.stages.s2.branch1.block1"]
DOWN = LAYOUTS["network.stages.s2.fuse.from1_to2"]


def draw(shape=(2, 4, 8, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_block_is_the_sum_of_its_paths():
    block, maps = SearchBlock(SAME, TINY).eval(), draw()
    groups = block.groups["k3"](maps) + block.groups["k5"](maps)
    assert torch.allclose(block(maps), maps + block.attention(maps) + block.output_norm(groups), atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (1, 1)])
def test_a_block_of_stride_2_halves_the_size_and_rounds_up(size):
    block = SearchBlock(DOWN, TINY)
    assert block.attention is None
    assert block.skip.groups == 2  # the greatest common divisor of 4 and 6 channels
    assert block(draw((2, 4, *size))).shape == (2, 6, -(-size[0] // 2), -(-size[1] // 2))


def test_a_group_is_expand_depthwise_project():
    group = SearchBlock(SAME, TINY).groups["k5"].eval()
    maps = draw()
    hidden = torch.relu(
        group.depthwise_norm(group.depthwise(torch.relu(group.expand_norm(group.expand(maps)))))
    )
    assert torch.equal(group(maps), group.project(hidden))
    assert group.depthwise.weight.shape == (4, 1, 5, 5)


@pytest.mark.parametrize("layout", [SAME, DOWN])
@pytest.mark.parametrize("training", [True, False])
def test_a_vanished_block_is_its_skip_path_and_a_constant(layout, training):
    block = SearchBlock(replace(layout, hidden=(), tokens=0), TINY).train(training)
    with torch.no_grad():
        block.output_norm.bias.copy_(torch.arange(layout.channels_out))
        block.output_norm.weight.fill_(2.0)
        block.output_norm.running_mean.fill_(-0.5)
    maps = draw()
    skip = maps if block.skip is None else block.skip(maps)
    shift = 0.0 if training else 1.0 / (1 + 1e-5) ** 0.5
    constant = (torch.arange(layout.channels_out) + shift)[:, None, None]
    assert torch.allclose(block(maps), skip + constant, atol=1e-6)
    assert not list(block.groups)


def test_a_vanished_block_trains_its_constant_even_on_a_single_pixel():
    block = SearchBlock(replace(SAME, hidden=(), tokens=0), TINY)
    block(draw((1, 4, 1, 1))).sum().backward()
    assert torch.equal(block.output_norm.bias.grad, torch.ones(4))


def test_what_is_left_keeps_its_name():
    smaller = SearchBlock(replace(SAME, hidden=((5, 2),), tokens=0), TINY)
    full = SearchBlock(SAME, TINY)
    assert smaller.state_dict().keys() < full.state_dict().keys()
    assert smaller.groups["k5"].depthwise.weight.shape == (2, 1, 5, 5)
