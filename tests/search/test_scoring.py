import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout, scaled_dot_product_attention

from lottery_pipeline.methods.grasp import grasp_scores
from lottery_pipeline.methods.magnitude import magnitude_scores
from lottery_pipeline.methods.prospr import prospr_scores
from lottery_pipeline.methods.snip import snip_scores
from lottery_pipeline.methods.synflow import synflow_scores
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.search.scoring import batch_statistics, split_batches
from lottery_pipeline.sparsity import MaskError, keep_top_k
from lottery_pipeline.tickets.errors import TicketError
from tests.tiny import same_bits
from tests.user_networks import flat_batch_statistics


class Noisy(nn.Module):
    def forward(self, images):
        return dropout(images, 0.1)  # in every mode, as a careless model does


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls += 1
        return images


def draw_parameters(network):
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
    return network


def build_network(dtype=torch.float32):
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(12, 3)]
    return draw_parameters(nn.Sequential(*layers)).to(dtype)


def draw_batch(count=6, *, shape=(1, 4, 4), dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, *shape, generator=generator, dtype=dtype), torch.arange(count) % 3


def score_prospr(model, images, labels, **options):
    return prospr_scores(model, [(images, labels)] * 3, **options)


SCORES = {
    "snip": snip_scores,
    "snip, running statistics": partial(snip_scores, batch_statistics=False),
    "snip, micro-batches": partial(snip_scores, batch_size=2),
    "grasp": grasp_scores,
    "grasp, micro-batches": partial(grasp_scores, batch_size=2),
    "synflow": synflow_scores,
    "magnitude": magnitude_scores,
    "prospr": score_prospr,
}
every_score = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)


def snapshot(model):
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    return {
        "tensors": {name: tensor.detach().clone() for name, tensor in tensors.items()},
        "objects": [id(tensor) for tensor in tensors.values()],
        "gradients": {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None},
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "tracking": [getattr(module, "track_running_stats", None) for module in model.modules()],
        "random": {"state": torch.get_rng_state()},
        "grad_mode": torch.is_grad_enabled(),
    }


def assert_same(before, after):
    for key, value in before.items():
        same = same_bits(value, after[key]) if isinstance(value, dict) else value == after[key]
        assert same, key


def make_awkward(model):
    """Mixed modes, a frozen weight, gradients in place, statistics that are not those of the start."""
    model.train()
    model[3].eval()
    model[0].weight.requires_grad_(False)
    model[1].running_mean.fill_(0.3)
    model[5].weight.grad = torch.ones_like(model[5].weight)
    return nn.Sequential(*model, Noisy(), Counting())


@every_score
@pytest.mark.parametrize("recording", [True, False])
def test_scoring_leaves_no_trace(score, recording):
    model = make_awkward(build_network())
    with torch.set_grad_enabled(recording):
        before = snapshot(model)
        scores = score(model, *draw_batch())
        assert_same(before, snapshot(model))
    assert list(scores) == ["0.weight", "5.weight"]
    assert all(not value.requires_grad and bool(value.isfinite().all()) for value in scores.values())
    assert any(bool(value.any()) for value in scores.values())


@pytest.mark.parametrize("score", [snip_scores, grasp_scores, synflow_scores, score_prospr])
def test_scoring_leaves_no_trace_where_the_network_fails(score):
    model = make_awkward(build_network())

    def fail(*_args):
        raise RuntimeError("stop")

    hook = model[4].register_forward_hook(fail)
    before = snapshot(model)
    with pytest.raises(RuntimeError, match="stop"):
        score(model, *draw_batch())
    hook.remove()
    assert_same(before, snapshot(model))


@pytest.mark.parametrize("score", [snip_scores, grasp_scores, score_prospr])
def test_scoring_leaves_no_trace_where_the_loss_fails_late(score):
    model = make_awkward(build_network())
    calls = []

    def fail(logits, labels):
        calls.append(len(labels))
        if len(calls) == 2:
            raise RuntimeError("stop")
        return cross_entropy(logits, labels)

    before = snapshot(model)
    batch_size = {} if score is score_prospr else {"batch_size": 3}
    with pytest.raises(RuntimeError, match="stop"):
        score(model, *draw_batch(), loss=fail, **batch_size)
    assert len(calls) == 2
    assert_same(before, snapshot(model))


@every_score
def test_ignored_layers_are_not_scored_and_scores_have_the_order_of_the_model(score):
    scores = score(build_network(), *draw_batch(), ignore_layers=["5"])
    assert list(scores) == ["0.weight"]


@every_score
def test_a_model_without_prunable_weights_is_an_error(score):
    with pytest.raises(ModelError, match="nothing is left to prune"):
        score(nn.Sequential(nn.BatchNorm2d(1), nn.Flatten()), *draw_batch())


@pytest.mark.parametrize("score", [snip_scores, grasp_scores, score_prospr])
def test_missing_labels_are_an_error(score):
    pixels, labels = draw_batch()
    with pytest.raises(TicketError, match="needs the labels of its images, but labels is None"):
        score(build_network(), pixels, None)
    with pytest.raises(TicketError, match="needs one label for each of 1 or more images, got 5 for 6"):
        score(build_network(), pixels, labels[:5])
    with pytest.raises(TicketError, match="got 0 for 0"):
        score(build_network(), pixels[:0], labels[:0])


@pytest.mark.parametrize("score", [snip_scores, grasp_scores, synflow_scores, magnitude_scores])
def test_masked_weights_score_0_and_the_others_are_those_of_the_masked_network(score):
    model, batch = build_network(), draw_batch()
    weights = prunable_parameters(model)
    masks = keep_top_k({name: weight.detach() for name, weight in weights.items()}, 20)
    scores = score(model, *batch, masks=masks)
    masked = copy.deepcopy(model)
    for name, weight in prunable_parameters(masked).items():
        weight.data *= masks[name]
    expected = score(masked, *batch)
    for name, value in scores.items():
        assert not bool(value[~masks[name]].any())
        assert torch.equal(value, expected[name])
    with pytest.raises(MaskError, match="differ in their names"):
        score(model, *batch, masks={"0.weight": masks["0.weight"]})


@pytest.mark.parametrize("score", [snip_scores, grasp_scores])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 11])
def test_micro_batches_equal_the_full_batch(score, batch_size):
    layers = [nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)]
    model, batch = draw_parameters(nn.Sequential(*layers)).double(), draw_batch(11, dtype=torch.float64)
    seen = []
    hook = model.register_forward_hook(lambda _module, args, _output: seen.append(len(args[0])))
    scores = score(model, *batch, batch_size=batch_size)
    hook.remove()
    assert max(seen) <= batch_size
    assert max(seen) - min(seen) <= 1
    for name, value in score(model, *batch, batch_size=100).items():
        assert torch.allclose(scores[name], value, rtol=1e-10, atol=0)


@pytest.mark.parametrize("score", [snip_scores, grasp_scores])
def test_batch_norm_normalises_by_the_batch_or_by_its_averages(score):
    model, batch = build_network(torch.float64), draw_batch(dtype=torch.float64)
    by_batch, by_average = (score(model, *batch, batch_statistics=choice) for choice in (True, False))
    model.eval()
    statistics = model[0](batch[0])
    model[1].running_mean.copy_(statistics.mean((0, 2, 3)))
    model[1].running_var.copy_(statistics.var((0, 2, 3), correction=0))
    assert torch.allclose(score(model, *batch)["5.weight"], by_batch["5.weight"], rtol=1e-12)
    fixed = score(model, *batch, batch_statistics=False)["5.weight"]
    assert torch.allclose(fixed, by_batch["5.weight"], rtol=1e-9) == (score is snip_scores)
    assert not torch.allclose(by_average["5.weight"], by_batch["5.weight"], rtol=1e-3)


def test_tied_weights_are_scored_once_and_move_together():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.first, self.second = nn.Embedding(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
            self.first.weight = self.second.weight = self.table.weight

        def forward(self, images):
            return self.second(self.first(images).tanh()) * self.table(torch.tensor(0))

    model = draw_parameters(Tied()).double()
    images, labels = draw_batch(shape=(3,), dtype=torch.float64)
    scores = snip_scores(model, images, labels)
    cross_entropy(model(images), labels).backward()
    assert list(scores) == ["table.weight"]
    assert torch.allclose(scores["table.weight"], (model.table.weight * model.table.weight.grad).abs())


def test_a_layer_that_the_output_does_not_need_scores_0():
    class WithSpare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, images):
            return self.used(images)

    model, batch = draw_parameters(WithSpare()), draw_batch(shape=(4,))
    for score in (snip_scores, grasp_scores, synflow_scores, score_prospr):
        scores = score(model, *batch)
        assert bool(scores["used.weight"].any())
        assert not bool(scores["spare.weight"].any())


@pytest.mark.parametrize("score", [snip_scores, grasp_scores, synflow_scores, score_prospr])
def test_a_network_with_attention_can_be_scored(score):
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(16, 3)

        def forward(self, images):
            rows = self.first(images)  # [N, 1, 4, 4]: heads, tokens, features
            return self.last(scaled_dot_product_attention(rows, rows, rows).flatten(1))

    scores = score(draw_parameters(Attending()), *draw_batch())
    assert all(bool(value.any()) and bool(value.isfinite().all()) for value in scores.values())


def test_batch_statistics_restores_modes_and_switches_after_an_error():
    model = nn.Sequential(
        nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False), nn.Dropout(), nn.BatchNorm1d(2)
    )
    model[3].eval()
    before, pixels = snapshot(model), torch.tensor([[0.0, 2.0], [2.0, 6.0]])
    with batch_statistics(model):
        assert [module.training for module in model] == [True, True, False, True]
        assert torch.allclose(model(pixels), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-3)
    assert_same(before, snapshot(model))
    with pytest.raises(ValueError, match="expected 2D"), batch_statistics(model):
        model(pixels[0])
    assert_same(before, snapshot(model))


def test_instance_norm_normalises_by_the_image_and_keeps_its_statistics_for_scores_by_batch():
    model = draw_parameters(nn.Sequential(nn.Conv2d(1, 3, 3), nn.InstanceNorm2d(3, track_running_stats=True)))
    model[1].running_mean.fill_(7.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images, _ = draw_batch()
    with torch.no_grad(), batch_statistics(model.eval()):
        found = model(images)
    torch.testing.assert_close(found, nn.functional.instance_norm(model[0](images)))
    assert same_bits(before, model.state_dict())
    assert model[1].momentum == 0.1
    assert model[1].track_running_stats


@pytest.mark.parametrize("score", [snip_scores, grasp_scores])
def test_no_micro_batch_has_one_image_alone(score):
    network = flat_batch_statistics(3, 1, (2, 2))
    images, labels = torch.rand(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    assert all(scores.isfinite().all() for scores in score(network, images, labels, batch_size=2).values())
    for count, batch_size, sizes in (
        (5, 2, [3, 2]),
        (6, 2, [2, 2, 2]),
        (7, 3, [3, 2, 2]),
        (1, 2, [1]),
        (4, 8, [4]),
    ):
        assert [len(part) for part in split_batches(torch.zeros(count), batch_size)] == sizes
