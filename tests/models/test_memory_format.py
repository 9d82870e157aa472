import copy
import logging

import pytest
import torch

from lottery_pipeline.models import memory_format
from lottery_pipeline.models.memory_format import lay_out_, stays_contiguous
from lottery_pipeline.models.registry import build_model
from tests.tiny import tiny_spec

CONTIGUOUS = ["flatten_by_view", "flatten_by_view_in_training", "flatten_by_strides", "volume"]


def build(name, **changes):
    path = f"tests.user_networks:{name}"
    return build_model(tiny_spec(path, **changes), seed=0, allow_factory=path)


@pytest.mark.parametrize("name", CONTIGUOUS)
def test_a_network_that_cannot_do_with_channels_last_memory_stays_contiguous(name):
    model = build(name)
    assert stays_contiguous(model)
    assert stays_contiguous(model.network)
    assert stays_contiguous(copy.deepcopy(model))
    images = torch.rand(3, 4, 4, 1).permute(0, 3, 1, 2)
    expected = model(images.reshape(-1).view(images.shape))
    lay_out_(model)
    assert model.network.conv.weight.is_contiguous()
    for network, inputs in ((model, images), (model.network, model.normalise(images))):
        found = network(inputs)
        assert torch.equal(found, expected)
        found.sum().backward()


def test_other_networks_are_laid_out_channels_last():
    for model in (build("flatten_by_reshape"), build_model(tiny_spec("conv2"), seed=0)):
        assert not stays_contiguous(model)
        lay_out_(model)
        weights = [weight for weight in model.parameters() if weight.dim() == 4]
        assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


def test_a_network_is_tried_once_and_the_reason_is_said_once(monkeypatch, caplog):
    monkeypatch.setattr(memory_format, "_obstacles", {})
    monkeypatch.setattr(memory_format, "_noted", set())
    with caplog.at_level(logging.INFO):
        for name in ("flatten_by_strides", "flatten_by_view", "flatten_by_reshape", "flatten_by_view"):
            build(name)
        build("flatten_by_view", width=6)
    first, second = caplog.messages
    assert first == (
        "tests.user_networks:flatten_by_strides stays in contiguous memory, which may be slower: "
        "in channels-last memory it gives other logits."
    )
    assert second.startswith("tests.user_networks:flatten_by_view stays in contiguous memory, ")
    assert "in channels-last memory it fails (view size is not compatible" in second
    assert len(memory_format._obstacles) == 4


def test_trying_a_network_leaves_no_trace_in_it_or_in_the_random_state():
    before = torch.get_rng_state()
    first, again = build("batch_statistics"), build("batch_statistics")
    assert torch.equal(before, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in first.parameters())
    assert first.training
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))


def test_a_network_may_be_built_where_no_gradients_are_recorded(monkeypatch):
    monkeypatch.setattr(memory_format, "_obstacles", {})
    with torch.inference_mode():
        assert stays_contiguous(build("flatten_by_view"))
        assert not stays_contiguous(build("parametrised"))


def test_classes_that_are_made_anew_in_every_call_are_tried_once(monkeypatch):
    monkeypatch.setattr(memory_format, "_obstacles", {})
    for _ in range(2):
        build("parametrised")
    assert len(memory_format._obstacles) == 1
