import torch

from lottery_pipeline.ownership.attacks.combination import combine
from tests.ownership.attacks.victims import count_left, draw_victim, weights_of


def test_the_combination_prunes_permutes_scales_and_quantises():
    victim = draw_victim("resnet20")
    model = combine(victim)
    kept = victim.ticket.kept
    assert 0.97 < count_left(model, victim) / (kept - round(0.2 * kept)) <= 1  # int8 rounds a few to 0
    name = "network.layer3.1.conv1.weight"
    weight = weights_of(model, victim)[name].flatten(1)
    levels = weight / (weight.abs().amax(1, keepdim=True) / 127)
    assert torch.allclose(levels, levels.round(), atol=1e-2)
    rows = (weight != 0).sum(1), victim.ticket.masks[name].flatten(1).sum(1)
    assert not torch.equal(*rows)
    sizes = weight.abs().sum(1)
    before = victim.ticket.state[name].flatten(1).abs().sum(1)
    assert float(sizes.max() / sizes.min()) > 3 * float(before.max() / before.min())
