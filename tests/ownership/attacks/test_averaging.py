from dataclasses import replace

import pytest
import torch

from lottery_pipeline.ownership.attacks.averaging import average
from lottery_pipeline.ownership.errors import OwnershipError
from tests.ownership.attacks.victims import draw_trained, draw_victim, weights_of

NAME = "network.fc1.weight"


@pytest.fixture(scope="module")
def victim():
    found = draw_victim()
    return replace(found, other=draw_trained(found.images, "lenet_300_100", seed=1))


def test_weights_are_averaged_as_asked(victim):
    found = weights_of(average(victim, weight=0.25), victim)[NAME]
    expected = 0.75 * victim.ticket.state[NAME] + 0.25 * victim.other.state[NAME]
    assert torch.allclose(found, expected, atol=1e-7)


def test_a_weight_is_zero_only_where_both_are(victim):
    found = weights_of(average(victim), victim)[NAME] != 0
    assert torch.equal(found, victim.ticket.masks[NAME] | victim.other.masks[NAME])


def test_the_other_network_is_aligned_first(victim):
    def align(network, reference):
        assert torch.equal(reference.state_dict()[NAME], victim.ticket.state[NAME])
        network.load_state_dict(reference.state_dict())
        return network

    found = weights_of(average(replace(victim, align=align)), victim)[NAME]
    assert torch.allclose(found, victim.ticket.state[NAME], atol=1e-7)


def test_another_ticket_of_the_same_network_is_needed(victim):
    with pytest.raises(OwnershipError, match="needs other, the trained ticket"):
        average(replace(victim, other=None))
    with pytest.raises(OwnershipError, match="same network"):
        average(replace(victim, other=draw_trained(victim.images, "conv2")))
    with pytest.raises(OwnershipError, match="weight must be between 0 and 1, got 1"):
        average(victim, weight=1)
