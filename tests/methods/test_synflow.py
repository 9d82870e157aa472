import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.func import functional_call

from lottery_pipeline.methods.magnitude import magnitude_scores
from lottery_pipeline.methods.synflow import extract_synflow, synflow_scores
from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import SynflowOptions
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.sparsity import dead_layers, exponential_counts, full_masks, keep_top_k
from tests.reference.synflow_naive import synflow_naive
from tests.tiny import RECIPE, draw_images, pretrain_tiny, same_bits, tiny_spec

IMAGE = torch.zeros(1, 1, 1, 2)


def linear_layers(*weights):
    """A bias-free ReLU network of linear layers with these weights, on flattened images."""
    layers = [nn.Flatten()]
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight.data = weight.clone()
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def draw_weights(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(after, before, generator=generator) for before, after in pairwise(sizes)]


FIRST, SECOND = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0]])


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_two_linear_layers_by_hand_whatever_their_signs(signs):
    model = linear_layers(FIRST * signs[0], SECOND * signs[1])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    scores = synflow_scores(model, IMAGE)
    assert scores["1.weight"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert scores["3.weight"].tolist() == [[3.0, 7.0]]
    assert scores["1.weight"].sum() == scores["3.weight"].sum() == 10
    assert same_bits(before, model.state_dict())


def test_a_negative_zero_keeps_its_sign():
    model = linear_layers(FIRST * torch.tensor([[-0.0, 1.0], [0.0, -1.0]]), SECOND)
    synflow_scores(model, IMAGE)
    assert torch.signbit(model[1].weight).tolist() == [[True, False], [False, True]]


def test_scores_are_sums_over_paths():
    weights = draw_weights(2, 3, 4, 2)
    expected = synflow_naive([weight.double() for weight in weights])
    for score, value in zip(synflow_scores(linear_layers(*weights), IMAGE).values(), expected, strict=True):
        assert score.dtype == torch.float64
        assert torch.allclose(score, value, rtol=1e-12, atol=0)


@pytest.mark.parametrize("masked", [False, True])
def test_every_layer_of_a_network_without_biases_has_the_same_total(masked):
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(20, 3, bias=False),
    )
    for index, parameter in enumerate(network.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(index))
    masks = keep_top_k({n: w.detach() for n, w in prunable_parameters(network).items()}, 200)
    scores = synflow_scores(network, torch.zeros(1, 1, 4, 4), masks=masks if masked else None)
    totals = torch.stack([score.sum() for score in scores.values()])
    assert totals[0] > 0
    assert torch.allclose(totals, totals[0].expand(3), rtol=1e-12, atol=0)


def test_biases_and_batch_norm_are_taken_by_magnitude_with_unit_statistics_and_no_normalisation():
    def network():
        return nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))

    model = Classifier(Normalise([0.4], [0.3]), network()).train()
    positive = network().double().eval()
    for index, (name, parameter) in enumerate(model.network.named_parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(index))
        positive.get_parameter(name).data = parameter.detach().double().abs()
    model.network[1].running_mean.fill_(2.0)
    model.network[1].running_var.fill_(9.0)
    positive(torch.ones(1, 1, 3, 3, dtype=torch.float64)).sum().backward()
    for name, score in synflow_scores(model, torch.rand(7, 1, 3, 3), torch.zeros(7)).items():
        weight = positive.get_parameter(name.removeprefix("network."))
        assert torch.allclose(score, weight * weight.grad, rtol=1e-12, atol=0)


def test_batch_norm_without_running_statistics_does_not_normalise_by_the_image_of_ones():
    tracked, untracked = (
        nn.Sequential(
            nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=tracking), nn.ReLU(), nn.Linear(3, 2)
        )
        for tracking in (True, False)
    )
    untracked.load_state_dict(tracked.state_dict(), strict=False)
    scores = synflow_scores(tracked, torch.zeros(1, 2))
    assert all(bool(score.all()) for score in scores.values())
    assert same_bits(scores, synflow_scores(untracked, torch.zeros(1, 2)))
    assert untracked[1].running_mean is None


def test_deep_products_beyond_float32_stay_finite():
    model = linear_layers(*[torch.full((64, 64), 10.0) for _ in range(20)])
    assert functional_call(model, {}, (torch.ones(1, 64),)).isinf().any()
    scores = synflow_scores(model, torch.zeros(1, 64))
    assert all(bool(score.isfinite().all()) and bool(score.all()) for score in scores.values())


def test_a_built_in_network_is_scored_without_an_image_of_its_own():
    model = build_model(tiny_spec("resnet20", width=8), seed=0)
    flipped = copy.deepcopy(model)
    for parameter in flipped.parameters():
        parameter.data *= -1
    scores = synflow_scores(model, torch.full((2, 1, 8, 8), torch.nan))
    assert all(bool((score > 0).any()) for score in scores.values())
    assert same_bits(scores, synflow_scores(flipped, torch.zeros(2, 1, 8, 8)))


def test_no_layer_collapses_in_100_rounds_where_one_round_and_magnitude_empty_one():
    # The middle layer holds 94 % of the weights, so each gets the least of the flow; and it is small.
    weights = draw_weights(2, 40, 40, 2)
    weights[1] *= 0.1
    model = linear_layers(*weights)
    masks, density = full_masks(prunable_parameters(model)), 0.01
    (kept,) = exponential_counts(1760, density=density, rounds=1)
    assert dead_layers(keep_top_k(magnitude_scores(model), kept)) == ["3.weight"]
    assert dead_layers(keep_top_k(synflow_scores(model, IMAGE), kept)) == ["3.weight"]
    for count in exponential_counts(1760, density=density, rounds=100):
        masks = keep_top_k(synflow_scores(model, IMAGE, masks=masks), count, within=masks)
    assert sum(int(mask.sum()) for mask in masks.values()) == kept == 17
    assert dead_layers(masks) == []
    flow = synflow_scores(model, IMAGE, masks=masks)
    assert all(float(score.sum()) > 0 for score in flow.values())  # the output still depends on the input


def test_a_ticket_needs_no_data_and_no_seed():
    images = draw_images()
    dense = pretrain_tiny(images, "lenet_300_100")
    first, second = (
        extract_synflow(Search(images, dense, RECIPE, seed=seed, device="cpu"), SynflowOptions(density=0.01))
        for seed in (0, 1)
    )
    assert same_bits(first.ticket.masks, second.ticket.masks)
    assert first.trace[49] == {"round": 50, "kept": first.ticket.prunable // 10}
    assert dead_layers(first.ticket.masks) == []


def test_statistics_of_instance_norm_do_not_matter_either():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.InstanceNorm2d(2, track_running_stats=True)).eval()
    expected = synflow_scores(model, IMAGE)
    model[1].running_mean.fill_(5.0)
    model[1].running_var.fill_(9.0)
    assert same_bits(expected, synflow_scores(model, IMAGE))
