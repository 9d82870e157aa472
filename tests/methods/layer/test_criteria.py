import math

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lottery_pipeline.methods.grasp import grasp_scores
from lottery_pipeline.methods.layer.criteria import aggregate, count_passes, score_blocks, signed_scores
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.search.scoring import batch_statistics
from lottery_pipeline.tickets.errors import TicketError
from tests.methods.layer.networks import BLOCKS, draw_batch, small_resnet
from tests.reference.layer_naive import block_score_naive, gradient, hessian_product

CRITERIA = ("snip", "grasp", "grasp_text", "kl", "cka", "expectabs", "hrank", "random")
every_criterion = pytest.mark.parametrize("criterion", CRITERIA)


def score(criterion, model, blocks=BLOCKS, **options):
    images, labels = draw_batch()
    return score_blocks(criterion, model, blocks, images, labels, seed=0, **options)


def loss_of(model, temperature=1.0):
    """The loss as a function of the weights, batch norm by batch statistics, which the caller switches on."""
    images, labels = draw_batch()
    return lambda weights: cross_entropy(functional_call(model, weights, (images,)) / temperature, labels)


def weights_of(model):
    return {name: weight.detach() for name, weight in prunable_parameters(model).items()}


@pytest.mark.parametrize("criterion", ["snip", "grasp", "grasp_text"])
def test_a_block_scores_the_sum_over_its_convolutions(criterion):
    # No batch norm by the batch here: its identities would make a sum of everything 0 or a norm.
    model = small_resnet().eval()
    loss, weights = loss_of(model, 200.0 if criterion == "grasp" else 1.0), weights_of(model)
    scores = score(criterion, model, batch_statistics=False)
    for block in BLOCKS:
        layers = [f"{block}.conv1.weight", f"{block}.conv2.weight"]
        naive = block_score_naive(criterion, loss, weights, layers)
        assert scores[block] == pytest.approx(naive, rel=1e-5)
        mean = score(criterion, model, batch_statistics=False, aggregation="mean")[block]
        assert mean == pytest.approx(scores[block] / 72)


@pytest.mark.parametrize("by_batch", [True, False])
def test_hessian_products_are_differences_of_gradients(by_batch):
    model = small_resnet().eval()
    images, labels = draw_batch()
    scores = grasp_scores(model, images, labels, temperature=1.0, batch_statistics=by_batch)
    loss, weights = loss_of(model), weights_of(model)
    if by_batch:
        with batch_statistics(model):
            products = hessian_product(loss, weights, gradient(loss, weights))
    else:
        products = hessian_product(loss, weights, gradient(loss, weights))
    for name, weight in weights.items():
        assert torch.allclose(scores[name], weight * products[name], rtol=1e-4, atol=1e-9)


def test_on_a_quadratic_a_block_scores_theta_a_a_theta():
    # L = (A theta) . theta / 2 with A = diag(1, 2, 3): g = A theta, H g = A A theta, all by hand.
    scores = {"a.conv.weight": torch.tensor([1.0, 1, 1]) * torch.tensor([1.0, 4, 9])}

    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Sequential()
            self.a.conv = nn.Conv2d(1, 3, 1, bias=False)
            nn.init.ones_(self.a.conv.weight)

        def forward(self, images):
            return self.a.conv.weight.flatten() * images.flatten(1)

    def loss(outputs, labels):
        return 0.5 * (torch.tensor([1.0, 2, 3]) * outputs.square()).sum()

    model = Quadratic()
    found = grasp_scores(model, torch.ones(1, 1, 1, 1), torch.zeros(1), temperature=1.0, loss=loss)
    assert found["a.conv.weight"].flatten().tolist() == scores["a.conv.weight"].tolist()
    assert aggregate(model, "a", found, "sum") == 14.0
    assert aggregate(model, "a", found, "mean") == pytest.approx(14 / 3)


def test_behind_batch_norm_the_signed_sum_is_0_and_grasp_is_the_squared_gradient_norm():
    model, (images, labels) = small_resnet(epsilon=1e-12), draw_batch()
    signed = signed_scores(model, images, labels)
    grasp = grasp_scores(model, images, labels, temperature=1.0)
    weights = weights_of(model)
    for block in BLOCKS:
        for name in (f"{block}.conv1.weight", f"{block}.conv2.weight"):
            squared = (signed[name] / weights[name]).square().sum()
            assert abs(signed[name].sum()) < 1e-6 * signed[name].abs().sum()
            assert abs(grasp[name].sum() + squared) < 1e-6 * squared
    # The classifier has no batch norm behind it.
    name = "fc.weight"
    squared = (signed[name] / weights[name]).square().sum()
    assert abs(signed[name].sum()) > 1e-2 * signed[name].abs().sum()
    assert abs(grasp[name].sum() + squared) > 1e-2 * squared


def test_by_running_averages_the_signed_sum_is_not_0():
    model, (images, labels) = small_resnet(epsilon=1e-12), draw_batch()
    signed = signed_scores(model, images, labels, batch_statistics=False)
    layers = [signed[f"{block}.conv1.weight"] for block in BLOCKS]
    assert max(float(layer.sum().abs() / layer.abs().sum()) for layer in layers) > 1e-2


def test_grasp_puts_the_block_with_the_largest_gradient_last():
    model, (images, labels) = small_resnet(), draw_batch()
    signed, weights = signed_scores(model, images, labels), weights_of(model)
    norms = {
        block: sum(
            float((signed[name] / weights[name]).square().sum()) for name in weights if name.startswith(block)
        )
        for block in BLOCKS
    }
    scores = score("grasp", model)
    assert min(scores, key=scores.get) == max(norms, key=norms.get)
    assert all(value < 0 for value in scores.values())


@every_criterion
def test_the_order_of_the_blocks_changes_no_score_and_nothing_is_left_in_the_model(criterion):
    model = small_resnet()
    model.layer1[1].eval()
    before = fingerprint_tensors(model.state_dict())
    modes, state = [module.training for module in model.modules()], torch.get_rng_state()
    first, second = score(criterion, model), score(criterion, model, BLOCKS[::-1])
    assert first == second
    assert list(second) == list(BLOCKS[::-1])
    assert fingerprint_tensors(model.state_dict()) == before
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_random_scores_follow_from_seed_and_name():
    model, (images, labels) = small_resnet(), draw_batch()
    first, second = (score_blocks("random", model, BLOCKS, images, labels, seed=seed) for seed in (0, 1))
    assert first != second
    assert all(0 <= value < 1 for value in first.values())
    assert first["layer1.1"] == score("random", model, ["layer1.1"])["layer1.1"]


@pytest.mark.parametrize("criterion", ["snip", "grasp", "grasp_text", "kl", "cka"])
def test_a_network_with_zero_init_residuals_is_refused_with_the_reason(criterion):
    model = small_resnet()
    for block in model.layer1:
        nn.init.zeros_(block.bn2.weight)
        nn.init.zeros_(block.bn2.bias)
    with pytest.raises(
        TicketError, match=rf"the {criterion} scores of all 3 blocks are equal.*zero-init resid"
    ):
        score(criterion, model)


def test_equal_scores_of_another_cause_are_refused_without_that_reason():
    model = small_resnet()
    nn.init.zeros_(model.fc.weight)
    with pytest.raises(TicketError, match="are equal, so no block is the least important"):
        score("snip", model)


def test_a_score_that_is_not_finite_is_refused():
    model = small_resnet()
    nn.init.constant_(model.layer1[1].bn1.weight, math.nan)
    with pytest.raises(TicketError, match=r"the expectabs score of layer1.1 is nan"):
        score("expectabs", model)


def test_one_candidate_needs_no_rival():
    assert list(score("snip", small_resnet(), ["layer1.1"])) == ["layer1.1"]


def test_outputs_go_by_running_averages_where_there_are_any():
    model = small_resnet()
    averages = score("expectabs", model, batch_statistics=False)
    assert score("expectabs", model) == averages
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked.zero_()
    assert score("expectabs", model) != averages
    assert score("expectabs", model, batch_statistics=False) == averages


def test_costs_are_in_passes_of_a_training_step():
    costs = {criterion: count_passes(criterion, 5) for criterion in CRITERIA}
    assert costs["snip"] == costs["grasp_text"] == 1
    assert costs["grasp"] == 3
    assert costs["kl"] == costs["cka"] == 2
    assert costs["expectabs"] == costs["hrank"] == 1 / 3
    assert costs["random"] == 0


def test_a_block_with_a_parametrised_convolution_is_scored_by_the_others():
    block = nn.Sequential(nn.Conv2d(1, 1, 1), nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 1)))
    model = nn.Sequential(block)
    scores = {"0.0.weight": torch.full((1, 1, 1, 1), 3.0)}
    assert aggregate(model, "0", scores, "mean") == 3.0
    only = nn.Sequential(nn.Sequential(block[1]))
    assert aggregate(only, "0", {}, "mean") == 0.0
