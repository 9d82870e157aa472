import pytest
import torch
from torch import nn

from lottery_pipeline.ownership.attacks.channels import choose_channels_, known_groups
from lottery_pipeline.ownership.attacks.equivalence import (
    add_dummies,
    flip_signs,
    permute,
    permute_,
    scale,
    scale_,
)
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.ownership.attacks.victims import count_left, draw_victim, logits_of, pattern_of, weights_of
from tests.tiny import same_bits

KINDS = ("zero", "split", "clique")


@pytest.fixture(scope="module")
def victim():
    return draw_victim("resnet20")


@pytest.fixture(scope="module", params=["lenet_300_100", "conv2", "vgg16"])
def chain(request):
    side = 16 if request.param == "vgg16" else 8
    return draw_victim(request.param, side=side), side


def assert_same_function(model, victim, side=8):
    logits = logits_of(victim.build(), side=side)
    largest = float(logits.abs().max())
    assert torch.allclose(logits_of(model, side=side), logits, rtol=1e-5, atol=1e-5 * largest)


@pytest.mark.parametrize("scope", ["inner", "all"])
def test_a_permuted_network_computes_the_same(scope, victim):
    assert_same_function(permute(victim, scope=scope), victim)


def test_a_permutation_moves_every_weight_and_changes_none(victim):
    before, after = victim.ticket.state, weights_of(permute(victim, scope="all"), victim)
    for name, weight in after.items():
        assert torch.equal(weight.flatten().sort().values, before[name].flatten().sort().values)
        assert not torch.equal(weight, before[name])


def test_inner_permutations_leave_the_streams_in_place(victim):
    state = permute(victim, scope="inner").state_dict()
    for name in ("network.conv1.weight", "network.fc.weight", "network.layer2.0.downsample.0.weight"):
        assert torch.equal(state[name], victim.ticket.state[name])
    assert not torch.equal(
        state["network.layer1.0.conv1.weight"], victim.ticket.state["network.layer1.0.conv1.weight"]
    )


def test_fine_tuning_after_the_permutation_keeps_its_zeros(victim):
    plain, tuned = (permute(victim, scope="all", fine_tuned=value) for value in (False, True))
    assert all(
        torch.equal(pattern, pattern_of(plain, victim)[name])
        for name, pattern in pattern_of(tuned, victim).items()
    )
    assert not same_bits(plain.state_dict(), tuned.state_dict())


@pytest.mark.parametrize("folded", [False, True])
def test_a_scaled_network_computes_the_same_and_keeps_its_zeros(folded, victim):
    model = scale(victim, folded=folded)
    assert_same_function(model, victim)
    for name, pattern in pattern_of(model, victim).items():
        assert torch.equal(pattern, victim.ticket.masks[name])


@pytest.mark.parametrize("folded", [False, True])
def test_scaling_is_exact_in_double_precision(folded, victim):
    model = victim.build().double()
    expected = logits_of(model)
    scale_(model, folded=folded, generator=make_generator(0, "scale"))
    assert torch.allclose(logits_of(model), expected, rtol=1e-11, atol=1e-11)


def test_scaling_spreads_the_sizes_of_filters_over_two_decades(victim):
    name = "network.layer3.2.conv2.weight"
    after = weights_of(scale(victim, folded=False), victim)[name].abs().sum((1, 2, 3))
    ratio = after / victim.ticket.state[name].abs().sum((1, 2, 3))
    assert float(ratio.max() / ratio.min()) > 10


def test_scaling_does_not_make_a_variance_negative(victim):
    model = victim.build()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.mul_(1e-7)
    expected = logits_of(model.double())
    scale_(model, folded=False, generator=make_generator(0, "scale"))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(float(norm.running_var.min()) > 0 for norm in norms)
    assert torch.allclose(logits_of(model), expected, rtol=1e-6)


def test_a_folded_network_has_biases_and_no_batch_norm(victim):
    model = scale(victim, folded=True)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert all(layer.bias is not None for layer in convolutions)


def test_flipped_signs_change_no_bit_of_the_logits(victim):
    model = flip_signs(victim)
    assert torch.equal(logits_of(model), logits_of(victim.build()))


def test_half_of_the_filters_are_negated(victim):
    weights, state = weights_of(flip_signs(victim), victim), victim.ticket.state
    rows = flipped = 0
    for name in [name for name in weights if weights[name].dim() == 4]:
        assert torch.equal(weights[name].abs(), state[name].abs())
        alive = state[name].flatten(1).any(1)
        rows += int(alive.sum())
        flipped += int((weights[name] != state[name]).flatten(1).any(1).sum())
    assert 0.4 * rows < flipped < 0.6 * rows


@pytest.mark.parametrize("kind", KINDS)
def test_dummies_change_the_widths_and_not_the_function(kind, victim):
    model = add_dummies(victim, kind=kind, share=0.2)
    assert_same_function(model, victim)
    added = 4 if kind == "clique" else 3  # 0.2 of 16, and whole pairs
    block = model.network.layer1[0]
    assert block.conv1.weight.shape[:2] == (16 + added, 16)
    assert block.conv2.weight.shape[:2] == (16, 16 + added)
    assert block.bn1.num_features == len(block.bn1.running_var) == 16 + added
    assert count_left(model, victim) > victim.ticket.kept


def test_nobody_reads_zero_dummies(victim):
    columns = add_dummies(victim, kind="zero", share=0.2).network.layer3[1].conv2.weight.abs().sum((0, 2, 3))
    assert int((columns == 0).sum()) == round(0.2 * 64)


def test_a_clique_is_a_pair_of_equal_filters_with_opposite_readers(victim):
    block = add_dummies(victim, kind="clique", share=0.05).network.layer3[1]
    rows, columns = block.conv1.weight.flatten(1), block.conv2.weight.transpose(0, 1).flatten(1)
    pairs = [
        (i, j)
        for i in range(len(rows))
        for j in range(i)
        if torch.equal(rows[i], rows[j]) and torch.equal(columns[i], -columns[j])
    ]
    assert len(pairs) == 2


@pytest.mark.parametrize(
    ("attack", "point"),
    [
        (permute, {"scope": "all"}),
        (scale, {"folded": False}),
        *((add_dummies, {"kind": kind, "share": 0.05}) for kind in KINDS),
    ],
)
def test_chains_are_rewritten_without_a_change(attack, point, chain):
    victim, side = chain
    assert_same_function(attack(victim, **point), victim, side)


def test_signs_need_batch_norm():
    with pytest.raises(OwnershipError, match="needs batch norm"):
        flip_signs(draw_victim("conv2"))


def test_networks_of_unknown_structure_are_refused():
    model = draw_victim("torchvision:squeezenet1_1", side=32).build()
    with pytest.raises(OwnershipError, match="channels of SqueezeNet are unknown"):
        permute_(model, scope="all", generator=make_generator(0))


def test_dropping_a_channel_does_change_the_function(victim):
    model = victim.build()
    group = known_groups(model, "inner")[0]
    choose_channels_(model, group, torch.arange(1, group.size), torch.ones(group.size - 1))
    assert not torch.allclose(logits_of(model), logits_of(victim.build()), atol=1e-5)
