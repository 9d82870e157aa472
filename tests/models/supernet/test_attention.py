import pytest
import torch
from torch import nn

from lottery_pipeline.models.supernet.attention import TokenAttention
from lottery_pipeline.models.supernet.config import Attention

NORMS = {"bn_momentum": 0.1, "bn_eps": 1e-5}


def attention_of(channels=3, tokens=5, grid=(2, 2), **options):
    torch.manual_seed(0)
    path = TokenAttention(channels, tokens, grid, Attention(**{"dropout": 0.0} | options), **NORMS).double()
    for parameter in path.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.5)
    return path.eval()


def maps_of(size=(4, 6), channels=3):
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def torch_layer(ours, heads, width):
    """torch's own post-norm encoder layer with the same weights."""
    twin = nn.TransformerEncoderLayer(width, heads, width, dropout=0.0, batch_first=True, bias=False).double()
    attend = ours.attend
    projections = (attend.query.weight, attend.key.weight, attend.value.weight)
    with torch.no_grad():
        twin.self_attn.in_proj_weight.copy_(torch.cat(projections))
        twin.self_attn.out_proj.weight.copy_(attend.output.weight)
        twin.linear1.weight.copy_(ours.linear1.weight)
        twin.linear2.weight.copy_(ours.linear2.weight)
    return twin


@pytest.mark.parametrize("heads", [1, 2])
def test_at_the_initial_gamma_the_encoder_is_the_encoder_of_torch(heads):
    path = attention_of(heads=heads, decoder=False)
    tokens = torch.randn(2, 5, 4, dtype=torch.float64)
    ours = path.encoder(tokens, tokens, torch.zeros(5, dtype=torch.float64))
    # In training mode: torch's fast path of evaluation mode wants biases.
    theirs = torch_layer(path.encoder, heads, 4).train()(tokens)
    assert torch.allclose(ours, theirs, atol=1e-12)


def test_openness_counts_a_token_as_often_as_it_says():
    path = attention_of()
    queries = torch.randn(1, 2, 4, dtype=torch.float64)
    memory = torch.randn(1, 3, 4, dtype=torch.float64)
    thrice = torch.cat((memory, memory[:, :1], memory[:, :1]), 1)
    opened = path.encoder.attend(queries, memory, torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64).log())
    repeated = path.encoder.attend(queries, thrice, torch.zeros(5, dtype=torch.float64))
    assert torch.allclose(opened, repeated, atol=1e-12)


@pytest.mark.parametrize("decoder", [True, False])
def test_a_token_of_gamma_0_has_no_influence(decoder):
    path, maps = attention_of(decoder=decoder), maps_of()
    with torch.no_grad():
        path.norm.bias.normal_()
        path.norm.weight[1] = 0.0
        before = path(maps)
        path.norm.bias[1] = 100.0
        path.project.weight[1] = 100.0
        path.reverse.weight[:, 1] = 100.0
        assert torch.equal(path(maps), before)
        path.norm.weight[1] = 0.1
        assert not torch.allclose(path(maps), before)


def test_without_any_open_token_the_output_is_a_constant_and_finite():
    path = attention_of().float().train()
    with torch.no_grad():
        path.norm.weight.zero_()
    output = path(maps_of().float())
    output.square().sum().backward()
    assert torch.equal(output, torch.zeros_like(output))
    assert all(parameter.grad.isfinite().all() for parameter in path.parameters())


@pytest.mark.parametrize("size", [(2, 2), (4, 4), (5, 3), (1, 1)])
def test_the_output_has_the_size_of_the_input(size):
    assert attention_of()(maps_of(size)).shape == (2, 3, *size)


def test_two_maps_of_standardised_coordinates_stand_beside_the_features():
    path, seen = attention_of(grid=(3, 2)), []
    path.project.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    path(maps_of((3, 2)))
    y, x = seen[0][1, 3:]
    assert torch.equal(seen[0][:, :3], maps_of((3, 2)))
    assert torch.allclose(y[:, 0], torch.tensor([-1.5, 0.0, 1.5], dtype=torch.float64).div(1.5**0.5))
    assert torch.allclose(x[0], torch.tensor([-1.0, 1.0], dtype=torch.float64))
    assert attention_of(coordinates=False).project.in_channels == 3


def test_only_a_decoder_has_queries():
    assert attention_of().queries.shape == (5, 4)
    assert not hasattr(attention_of(decoder=False), "queries")
