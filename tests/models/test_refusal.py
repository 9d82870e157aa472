import warnings

import pytest
import torch
from torch import nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.refusal import RefusalError, check_network
from lottery_pipeline.models.registry import build_model
from tests.tiny import tiny_spec


def old_norm(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls both of them old
        return getattr(nn.utils, kind)(nn.Linear(3, 3))


def complex_parameter():
    network = nn.Sequential(nn.Linear(2, 2))
    network.register_parameter("phase", nn.Parameter(torch.zeros(2, dtype=torch.complex64)))
    return network


def quantised():
    config = torch.ao.quantization.get_default_qat_qconfig()
    return nn.Sequential(torch.ao.nn.qat.Linear(2, 2, qconfig=config))


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (
            lambda: nn.Sequential(old_norm("weight_norm")),
            "its layer 0 has the weight norm of torch.nn.utils.w",
        ),
        (
            lambda: nn.Sequential(old_norm("spectral_norm")),
            "use torch.nn.utils.parametrizations.spectral_norm",
        ),
        (lambda: nn.DataParallel(nn.Linear(2, 2)), "it runs copies of a network; return the network itself"),
        (lambda: torch.compile(nn.Linear(2, 2)), "it is compiled by torch.compile; return the module itself"),
        (quantised, "its layer 0 is quantised"),
        (lambda: nn.Linear(2, 2).half(), "its parameter weight is torch.float16, not torch.float32"),
        (lambda: nn.Linear(2, 2).double(), "its parameter weight is torch.float64, not torch.float32"),
        (complex_parameter, "its parameter phase is torch.complex64, not torch.float32"),
    ],
)
@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script_method` is deprecated"
)  # by torch.compile of torch 2.11
def test_a_network_that_cannot_be_masked_is_refused_with_the_reason(make, fault):
    with pytest.raises(RefusalError, match=f"model 'm:f' cannot be used: .*{fault}"):
        check_network(make(), "m:f")


def find_refusal(network):
    try:
        check_network(network, "m:f")
    except RefusalError as refusal:
        return refusal
    return None


def test_ordinary_and_parametrised_networks_are_not_refused():
    ordinary = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LSTM(2, 2))
    parametrised = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))
    assert [find_refusal(network) for network in (ordinary, parametrised)] == [None, None]
    assert "torch.float16" in str(find_refusal(ordinary.half()))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("pruned", r"its layer 1 is pruned by torch.nn.utils.prune; call .*prune.remove\(layer, 'weight'\)"),
        ("scripted", "it is compiled by torch.jit, so its weights cannot be replaced; return the module"),
        ("lazy_rest", "network.rest.weight belongs to a lazy layer that takes no part in the forward pass"),
        (
            "two_answers",
            "cannot be trained: in training mode it returns a tuple that is not the logits alone",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # its class differs between versions
def test_a_factory_of_such_a_network_is_refused_when_it_is_built(name, fault):
    path = f"tests.user_networks:{name}"
    with pytest.raises(ModelError, match=fault):
        build_model(tiny_spec(path), seed=0, allow_factory=path)
