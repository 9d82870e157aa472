import pytest
import torch
from torch.func import functional_call

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet import recompute
from tests.models.supernet.networks import TINY, images_of, spec_of


@pytest.fixture
def twins():
    """The same network without and with recomputation."""
    specs = [spec_of(TINY.model_copy(update={"recompute": again})) for again in (False, True)]
    return [build_model(spec, seed=0) for spec in specs]


@pytest.fixture
def recomputations(monkeypatch):
    calls = []
    checkpoint = recompute.checkpoint
    monkeypatch.setattr(
        recompute, "checkpoint", lambda *args, **options: calls.append(1) or checkpoint(*args, **options)
    )
    return calls


def all_equal(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_results_gradients_and_statistics_are_the_same_bits(twins, recomputations):
    images = images_of(spec_of())
    outputs = []
    for model in twins:
        for _ in range(2):
            outputs.append(model(images))
            outputs[-1].square().sum().backward()
    assert torch.equal(outputs[1], outputs[3])
    assert all_equal(*([parameter.grad for parameter in model.parameters()] for model in twins))
    assert all_equal(*(model.buffers() for model in twins))
    assert (
        twins[1].get_submodule("network.stages.s1.branch1.block1.groups.k3.expand_norm").num_batches_tracked
        == 2
    )
    assert len(recomputations) == 2 * 18  # two steps, nine blocks of two groups


def test_the_second_run_reads_the_weights_that_were_lent_to_the_first(twins):
    images, gradients = images_of(spec_of()), []
    for model in twins:
        lent = {name: (0.5 * value.detach()).requires_grad_() for name, value in model.named_parameters()}
        functional_call(model, lent, (images,)).square().sum().backward()
        gradients.append([value.grad for value in lent.values()])
        assert all(parameter.grad is None for parameter in model.parameters())
    assert all_equal(*gradients)


def test_gradients_of_gradients_are_the_same(twins):
    images, found = images_of(spec_of()), []
    for model in twins:
        weights = [value for name, value in model.named_parameters() if name.endswith("expand.weight")]
        first = torch.autograd.grad(model(images).square().sum(), weights, create_graph=True)
        found.append(torch.autograd.grad(sum(value.square().sum() for value in first), weights))
    assert all_equal(*found)


def test_nothing_is_recomputed_where_nothing_is_trained(twins, recomputations):
    model, images = twins[1], images_of(spec_of())
    model.eval()(images).sum().backward()
    with torch.no_grad():
        model.train()(images)
    model.to("meta").train()(images.to("meta")).sum().backward()
    assert recomputations == []


def test_a_backward_pass_may_be_run_twice(twins):
    model, images = twins[1], images_of(spec_of())
    loss = model(images).square().sum()
    weight = model.get_parameter("network.stages.s1.branch1.block1.groups.k3.expand.weight")
    first, second = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert (
        model.get_submodule("network.stages.s1.branch1.block1.groups.k3.expand_norm").num_batches_tracked == 1
    )
