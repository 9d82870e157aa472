import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.methods.prospr import draw_batches, prospr_scores
from lottery_pipeline.methods.snip import snip_scores
from lottery_pipeline.tickets.errors import TicketError

CPU = torch.device("cpu")


def build_network(*, norm=True):
    generator = torch.Generator().manual_seed(0)
    middle = [nn.BatchNorm1d(5)] if norm else []
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), *middle, nn.Tanh(), nn.Linear(5, 3)).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
    return network


def draw(count):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 6, 1, 2, 2, generator=generator).double()
    return [(some, torch.randint(3, (6,), generator=generator)) for some in images]


def trained_loss(model, batches, gates, *, learning_rate, momentum):
    """Loss after SGD by torch from theta_0 c, at plain numbers c."""
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    start = {name: weight * gates.get(name, 1.0) for name, weight in start.items()}
    leaves = {name: nn.Parameter(weight) for name, weight in start.items()}
    optimiser = torch.optim.SGD(leaves.values(), lr=learning_rate, momentum=momentum)
    model = model.train()
    for images, labels in batches[:-1]:
        optimiser.zero_grad()
        cross_entropy(functional_call(model, leaves, (images,)), labels).backward()
        optimiser.step()
    images, labels = batches[-1]
    return float(cross_entropy(functional_call(model, leaves, (images,)), labels).detach())


def test_one_weight_and_one_step_by_hand():
    # L = w^2 and w = 2 c: theta_1 = w - 0.1 * 2 w = 1.6 c, L = 2.56 c^2; first order: 2 theta_1 * 2 = 6.4.
    model = nn.Sequential(nn.Linear(1, 1, bias=False).double())
    nn.init.constant_(model[0].weight, 2.0)
    batch = (torch.ones(1, 1).double(), torch.zeros(1))

    def loss(outputs, labels):
        return (outputs.squeeze(1) - labels).square().mean()

    for first_order, expected in ((False, 5.12), (True, 6.4)):
        scores = prospr_scores(model, [batch] * 2, learning_rate=0.1, loss=loss, first_order=first_order)
        assert scores["0.weight"].item() == pytest.approx(expected)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("steps", [1, 3])
def test_scores_are_the_slope_of_the_trained_loss_in_the_gates(steps, momentum):
    model, batches, step = build_network(), draw(steps + 1), 1e-6
    options = {"learning_rate": 0.5, "momentum": momentum}
    scores = prospr_scores(model, batches, **options)
    assert list(scores) == ["1.weight", "4.weight"]
    for name, score in scores.items():
        for index in range(score.numel()):
            ends = []
            for entry in (1 + step, 1 - step):
                gate = torch.ones_like(score)
                gate.view(-1)[index] = entry
                ends.append(trained_loss(model, batches, {name: gate}, **options))
            slope = abs(ends[0] - ends[1]) / (2 * step)
            assert score.view(-1)[index].item() == pytest.approx(slope, abs=1e-7)


def test_without_a_step_the_scores_are_those_of_snip():
    model, (batch,) = build_network(), draw(1)
    expected = snip_scores(model, *batch)
    for name, score in prospr_scores(model, [batch]).items():
        assert torch.allclose(score, expected[name], rtol=1e-12, atol=0)


def test_first_order_is_the_gradient_at_the_end_times_the_weights_at_the_start():
    model, batches = build_network(norm=False), draw(3)
    scores = prospr_scores(model, batches, first_order=True, learning_rate=0.5, momentum=0.9)
    trained = build_network(norm=False)
    optimiser = torch.optim.SGD(trained.parameters(), lr=0.5, momentum=0.9)
    for images, labels in batches:
        optimiser.zero_grad()
        cross_entropy(trained(images), labels).backward()
        if labels is not batches[-1][1]:
            optimiser.step()
    for name, score in scores.items():
        expected = (model.get_parameter(name) * trained.get_parameter(name).grad).abs()
        assert torch.allclose(score, expected, rtol=1e-9, atol=0)


def test_a_frozen_bias_is_not_trained():
    model, batches = build_network(norm=False), draw(3)
    free = prospr_scores(model, batches)
    model[1].bias.requires_grad_(False)
    frozen = prospr_scores(model, batches)
    assert not torch.allclose(free["1.weight"], frozen["1.weight"])


def test_no_batch_at_all_is_an_error():
    with pytest.raises(TicketError, match="at least one batch"):
        prospr_scores(build_network(), [])


def test_batches_go_through_all_images_before_one_comes_again():
    images = ImageSet(torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1), torch.arange(10))
    batches = draw_batches(images, count=4, batch_size=5, seed=0, device=CPU)
    labels = [labels.tolist() for _, labels in batches]
    assert sorted(labels[0] + labels[1]) == sorted(labels[2] + labels[3]) == list(range(10))
    assert labels[0] + labels[1] != labels[2] + labels[3]
    for pixels, drawn in batches:
        assert torch.allclose(pixels.flatten() * 255, drawn.float())
    assert [len(drawn) for _, drawn in draw_batches(images, count=2, batch_size=64, seed=0, device=CPU)] == [
        10,
        10,
    ]
    other = draw_batches(images, count=4, batch_size=5, seed=1, device=CPU)
    assert [drawn.tolist() for _, drawn in other] != labels
