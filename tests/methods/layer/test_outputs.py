import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from lottery_pipeline.methods.layer.cka import cka
from lottery_pipeline.methods.layer.outputs import (
    cka_scores,
    expectabs_scores,
    hrank_scores,
    kl_scores,
    silence,
)
from lottery_pipeline.models.blocks import list_candidates
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.resnet import BasicBlock
from lottery_pipeline.tickets.errors import TicketError
from tests.methods.layer.networks import BLOCKS, draw_batch, scramble_, small_resnet
from tests.reference.layer_naive import logits_without_block
from tests.tiny import tiny_spec


@pytest.mark.parametrize(
    ("name", "position"),
    [("resnet20", 0), ("resnet20", -1), ("torchvision:resnet18", 0), ("torchvision:resnet50", 0)],
)
def test_a_silenced_block_is_a_removed_block_bit_for_bit(name, position):
    spec = tiny_spec(name, width=8)
    model = build_model(spec, seed=0)
    scramble_(model)
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    block = list_candidates(model)[position].name
    reduced = build_model(spec.model_copy(update={"removed_blocks": (block,)}), seed=0)
    reduced.load_state_dict({key: model.state_dict()[key] for key in reduced.state_dict()})
    with torch.no_grad():
        silenced = functional_call(model.eval(), silence(model, block), (images,))
        assert torch.equal(silenced, reduced.eval()(images))
        assert not torch.equal(silenced, model(images))


def test_a_block_with_a_projection_does_not_hand_on_its_input_when_silenced():
    torch.manual_seed(0)
    maps = torch.rand(2, 4, 3, 3)
    network = nn.Sequential(BasicBlock(4, 4, 1)).eval()
    assert torch.equal(functional_call(network, silence(network, "0"), (maps,)), maps)
    network[0].downsample = nn.Conv2d(4, 4, 1, bias=False)
    assert not torch.allclose(functional_call(network, silence(network, "0"), (maps,)), maps, atol=0.01)


def test_kl_and_cka_compare_with_the_network_that_really_lacks_the_block():
    model, (images, _) = small_resnet().eval(), draw_batch()
    kl = kl_scores(model, BLOCKS, images, batch_size=4, by_batch=False)
    similarity = cka_scores(model, BLOCKS, images, batch_size=4, by_batch=False)
    with torch.no_grad():
        p = model(images).softmax(1)
        for block in BLOCKS:
            reduced = copy.deepcopy(model)
            q = logits_without_block(reduced, block, images).softmax(1)
            assert kl[block] == pytest.approx(float((q * (q / p).log()).sum(1).mean()), rel=1e-9)
            reduced.fc, whole = nn.Identity(), copy.deepcopy(model)
            whole.fc = nn.Identity()
            assert similarity[block] == pytest.approx(1 - cka(whole(images), reduced(images)), rel=1e-9)


def test_a_block_that_does_nothing_scores_exactly_0():
    model, (images, _) = small_resnet(), draw_batch()
    nn.init.zeros_(model.layer1[1].bn2.weight)
    nn.init.zeros_(model.layer1[1].bn2.bias)
    for score in (kl_scores, cka_scores):
        scores = score(model, BLOCKS, images, batch_size=256, by_batch=False)
        assert scores["layer1.1"] == 0
        assert min(scores["layer1.0"], scores["layer1.2"]) > 1e-9


def test_micro_batches_change_nothing_by_running_averages():
    model, (images, _) = small_resnet(), draw_batch()
    for score in (kl_scores, cka_scores, expectabs_scores, hrank_scores):
        whole = score(model, BLOCKS, images, batch_size=256, by_batch=False)
        parts = score(model, BLOCKS, images, batch_size=2, by_batch=False)
        assert parts == pytest.approx(whole, rel=1e-9)


class Fixed(nn.Module):
    """A block whose output is known."""

    def __init__(self, output):
        super().__init__()
        self.output = output
        self.weight = nn.Conv2d(1, 1, 1)

    def forward(self, _):
        return self.output


def test_expectabs_and_hrank_by_hand():
    # One image of two maps: rank 1 and, below 0 set to 0, rank 2; side 3.
    first = [[1.0, 1, 1], [1, 1, 1], [0, 0, 0]]
    second = [[2.0, 0, 0], [0, 1, 0], [0, 0, -5]]
    model = nn.Sequential(Fixed(torch.tensor([[first, second]])))
    image = torch.zeros(1, 1, 3, 3)
    assert expectabs_scores(model, ["0"], image, batch_size=1, by_batch=False)["0"] == pytest.approx(9 / 18)
    assert hrank_scores(model, ["0"], image, batch_size=1, by_batch=False)["0"] == pytest.approx(1.5 / 3)


def test_a_block_without_batch_norm_cannot_be_silenced():
    network = nn.Sequential(BasicBlock(2, 2, 1))
    network[0].bn1 = network[0].bn2 = nn.Identity()
    with pytest.raises(TicketError, match="0 has no batch norm with gamma and beta"):
        silence(network, "0")
