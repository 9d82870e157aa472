import math

import pytest
import torch

from lottery_pipeline.methods.edge_popup import draw_scores, extract_edge_popup, make_learner
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import FrozenWeightOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny, tiny_spec


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def extract(images, dense, *, checkpoints=None, seed=0, **options):
    return extract_edge_popup(
        Search(
            images, dense, RECIPE, seed=seed, device="cpu", checkpoints=checkpoints, allow_factory=OWN_MODEL
        ),
        FrozenWeightOptions(**{"density": 0.5, "length": 20, **options}),
    )


def test_every_layer_keeps_the_same_share_and_all_of_them_exactly_k(images, dense):
    ticket = extract(images, dense, density=0.3).ticket
    assert ticket.kept == math.floor(0.3 * 194)
    assert [layer.kept for layer in ticket.header.layers] == [
        38,
        14,
        6,
    ]  # of 128, 48 and 18: the remainders are 0.27, 0.35 and 0.38


def test_the_gates_are_the_largest_magnitudes_and_pass_gradients_by_their_sign():
    network = GatedNetwork(build_model(tiny_spec(), seed=0))
    learner = make_learner(0.5, network, Recipe(iterations=1), seed=0)
    scores = draw_scores(network, 0).requires_grad_()
    gates = learner._open_gates(scores)
    (slope,) = torch.autograd.grad(gates.sum(), scores)
    assert torch.equal(slope, scores.detach().sign())
    for layer, magnitudes in zip(
        network.split(gates.detach()).values(), network.split(scores.detach().abs()).values(), strict=True
    ):
        assert int(layer.sum()) == layer.numel() // 2
        assert magnitudes[layer == 1].min() > magnitudes[layer == 0].max()


def test_scores_begin_as_kaiming_uniform_with_a_of_sqrt_5():
    network = GatedNetwork(build_model(tiny_spec("resnet20", width=8), seed=0))
    layers = network.split(draw_scores(network, 0))
    bound = 1 / math.sqrt(64 * 9)
    assert bound * 0.99 < layers["network.layer3.2.conv2.weight"].abs().max() < bound
    assert torch.equal(draw_scores(network, 3), draw_scores(network, 3))
    assert not torch.equal(draw_scores(network, 3), draw_scores(network, 4))


def test_the_search_makes_a_frozen_network_better(images):
    trace = extract(images, pretrain_tiny(images, "lenet_300_100")).trace
    first, last = (sum(row["objective"] for row in part) for part in (trace[:10], trace[-10:]))
    assert last < 0.7 * first


def test_the_ticket_has_the_weights_of_the_search(images, dense):
    plain, constant = extract(images, dense).ticket, extract(images, dense, weights="signed_constant").ticket
    name = "network.1.weight"
    mask = plain.masks[name]
    assert torch.equal(plain.state[name][mask], dense.initial[name][mask])
    sizes = constant.state[name][constant.masks[name]].abs().unique()
    assert sizes.tolist() == [pytest.approx(math.sqrt(2 / 16))]


def test_the_search_resumes_from_a_checkpoint_and_is_its_seeds_own(images, dense, tmp_path):
    whole = extract(images, dense, checkpoints=Checkpoints(tmp_path, interval_seconds=0))
    again = extract(images, dense, checkpoints=Checkpoints(tmp_path))
    assert again.ticket.to_bytes() == whole.ticket.to_bytes()
    assert again.trace == whole.trace
    assert extract(images, dense, seed=1).ticket.to_bytes() != whole.ticket.to_bytes()
