"""The attention path of a searchable block: a few tokens look at the whole feature map.

The lightweight Transformer of HR-NAS (arXiv 2106.06560). A token is one map over a small grid, flattened; the
gamma of its batch norm is its importance.

Deviation: the gamma is also a gate. Attention weights are in proportion to |gamma| of the token that is read,
and what a token writes is multiplied by its gamma. At the initial gamma of 1 that changes nothing; at 0 the
token has no influence at all, so that it can be removed exactly. Without the gate a token with a gamma of 0
would still take its share of every softmax, and its column would still be read.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from lottery_pipeline.models.supernet.config import Attention


class MultiHead(nn.Module):
    """Attention of queries to a memory; four projections without bias, so that all weights can be pruned."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor, openness: Tensor) -> Tensor:
        """Return [N, Q, d] for queries [N, Q, d] and a memory [N, n, d].

        Each token of the memory is read exp(openness) times, openness [n], as if it stood there so often.
        """
        query, key, value = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, queries), (self.key, memory), (self.value, memory))
        )
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
        shares = self.dropout((scores + openness).softmax(3))
        return self.output((shares @ value).transpose(1, 2).flatten(2))


class AttentionLayer(nn.Module):
    """Attention and a two-layer network, each with a residual, dropout and layer norm after it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = MultiHead(width, heads, dropout)
        self.attend_norm = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, width, bias=False)
        self.linear2 = nn.Linear(width, width, bias=False)
        self.linear_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor, openness: Tensor) -> Tensor:
        """Return [N, n, d] for queries [N, n, d] and a memory [N, n, d] of some openness [n].

        The residual is the memory, in the decoder too, as in HR-NAS.
        """
        tokens = self.attend_norm(memory + self.dropout(self.attend(queries, memory, openness)))
        hidden = self.linear2(self.dropout(relu(self.linear1(tokens))))
        mixed: Tensor = self.linear_norm(tokens + self.dropout(hidden))
        return mixed


class TokenAttention(nn.Module):
    """Feature maps to tokens, attention among them, and back to feature maps.

    Args:
        channels: of the feature maps.
        tokens: number of tokens, n.
        grid: rows and columns to which maps are resized; their product is the width d of a token.
        config: heads, dropout, coordinates and decoder.
        bn_momentum: of the batch norms.
        bn_eps: of the batch norms.
    """

    def __init__(
        self,
        channels: int,
        tokens: int,
        grid: tuple[int, int],
        config: Attention,
        *,
        bn_momentum: float,
        bn_eps: float,
    ) -> None:
        super().__init__()
        self.grid = grid
        width = grid[0] * grid[1]
        self.coordinates = config.coordinates
        maps = channels + 2 * config.coordinates
        self.project = nn.Conv2d(maps, tokens, 1, bias=False)
        self.norm = nn.BatchNorm2d(tokens, eps=bn_eps, momentum=bn_momentum)
        self.encoder = AttentionLayer(width, config.heads, config.dropout)
        self.decoder: AttentionLayer | None = None
        if config.decoder:
            self.queries = nn.Parameter(torch.empty(tokens, width))
            self.decoder = AttentionLayer(width, config.heads, config.dropout)
        self.reverse = nn.Conv2d(tokens, channels, 1, bias=False)
        self.reverse_norm = nn.BatchNorm2d(channels, eps=bn_eps, momentum=bn_momentum)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [N, C, H, W] to what is added to them, of the same shape."""
        maps = _resize(features, self.grid)
        if self.coordinates:
            maps = torch.cat((maps, _coordinates(maps)), 1)
        gate = self.norm.weight
        # Not the logarithm of 0: if all gates are 0, all tokens are read alike instead of giving NaN.
        openness = gate.abs().clamp_min(torch.finfo(gate.dtype).tiny).log()
        memory = self.norm(self.project(maps)).flatten(2)
        memory = self.encoder(memory, memory, openness)
        if self.decoder is not None:
            # A sum, not a view: torch's FLOP counter cannot follow views of parameters without gradients.
            queries = torch.zeros_like(memory) + self.queries
            memory = self.decoder(queries, memory, openness)
        written = (memory * gate[:, None]).unflatten(2, self.grid)
        return _resize(self.reverse_norm(self.reverse(written)), (features.shape[2], features.shape[3]))


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[2:] == size:
        return maps
    return interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _coordinates(maps: Tensor) -> Tensor:
    """Return y and x of every pixel, each of mean 0 and standard deviation 1: [N, 2, H, W]."""
    height, width = maps.shape[2:]
    # Computed here: a buffer outside the state dict would be lost where a network is built without memory.
    y = _standardised(height, maps)[:, None].expand(height, width)
    x = _standardised(width, maps)[None].expand(height, width)
    return torch.stack((y, x)).expand(maps.shape[0], 2, height, width)


def _standardised(count: int, like: Tensor) -> Tensor:
    deviation = max(1e-6, ((count**2 - 1) / 12) ** 0.5)
    return (torch.arange(count, device=like.device, dtype=like.dtype) - (count - 1) / 2) / deviation
