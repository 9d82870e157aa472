import pytest
import torch

from lottery_pipeline.ownership.attacks.quantisation import quantise
from lottery_pipeline.ownership.errors import OwnershipError
from tests.ownership.attacks.victims import draw_victim, logits_of, pattern_of, weights_of

NAME = "network.layer2.1.conv1.weight"


@pytest.fixture(scope="module")
def victim():
    return draw_victim("resnet20")


@pytest.mark.parametrize(("number_type", "largest"), [("int8", 127), ("int4", 7)])
def test_integers_are_rounded_to_the_nearest_level_of_the_tensor(number_type, largest, victim):
    before = victim.ticket.state[NAME]
    after = weights_of(quantise(victim, number_type=number_type), victim)[NAME]
    step = float(before.abs().max()) / largest
    levels = after / step
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert float((after - before).abs().max()) <= step / 2 * 1.001
    assert float(after.abs().max()) == pytest.approx(float(before.abs().max()))


def test_a_scale_per_channel_keeps_the_largest_weight_of_every_filter(victim):
    before = victim.ticket.state[NAME].abs().amax((1, 2, 3))
    after = weights_of(quantise(victim, number_type="int4", per_channel=True), victim)[NAME]
    assert torch.allclose(after.abs().amax((1, 2, 3)), before)


def test_zeros_stay_zeros(victim):
    for point in ({"number_type": "int8"}, {"number_type": "int4", "per_channel": True}):
        pattern = pattern_of(quantise(victim, **point), victim)
        assert all(bool((found <= victim.ticket.masks[name]).all()) for name, found in pattern.items())


def test_an_empty_filter_stays_empty(victim):
    model = quantise(draw_victim("resnet20", density=0.02), number_type="int8", per_channel=True)
    assert all(bool(weight.isfinite().all()) for weight in weights_of(model, victim).values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_round_every_number_of_the_network(dtype, victim):
    model = quantise(victim, number_type=str(dtype).removeprefix("torch."))
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, victim.ticket.state[name].to(dtype).float())
    assert torch.allclose(logits_of(model), logits_of(victim.build()), atol=0.1)


@pytest.mark.parametrize("point", [{"number_type": "int2"}, {"number_type": "float16", "per_channel": True}])
def test_impossible_types_are_refused(point, victim):
    with pytest.raises(OwnershipError, match="is impossible; choose int8 or int4"):
        quantise(victim, **point)
