"""The toy networks as plain modules, one model each; batching is no concern of theirs.

Knows torch only. Weights start as PyTorch starts its layers, from whatever generator is current.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hormesis.pipeline.toy.chains import FEATURES
from hormesis.pipeline.toy.config import TransformerConfig


class Block(nn.Module):
    """Pre-norm causal attention and a ReLU layer without biases, both added to the residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_attention, self.norm_mlp = _norm(config), _norm(config)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_stream = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, config.mlp, bias=False)
        self.down = nn.Linear(config.mlp, width, bias=False)

    def forward(self, stream: Tensor, mask: Tensor) -> Tensor:
        """Residual stream [n, t, width] to the same; `mask` [t, t] is -inf where attention may not look."""
        n, t, width = stream.shape
        parts = self.to_qkv(self.norm_attention(stream)).reshape(n, t, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query * (width // self.heads) ** -0.5 @ key.transpose(-1, -2) + mask
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(n, t, width)
        stream = stream + self.to_stream(mixed)
        added: Tensor = self.down(functional.relu(self.up(self.norm_mlp(stream))))
        return stream + added


class Transformer(nn.Module):
    """Embedding and learned positions, blocks, a final norm and an unembedding of its own."""

    mask: Tensor

    def __init__(self, config: TransformerConfig, vocabulary: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, config.width)
        self.positions = nn.Parameter(torch.randn(config.length, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = _norm(config)
        self.unembed = nn.Linear(config.width, vocabulary, bias=False)
        mask = torch.full((config.length, config.length), float("-inf")).triu(1)
        self.register_buffer("mask", mask)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [n, length] to logits [n, length, vocabulary] and the last block's stream [.., width]."""
        stream = self.embed(tokens) + self.positions
        for block in self.blocks:
            stream = block(stream, self.mask)
        return self.unembed(self.norm(stream)), stream


class Bottleneck(nn.Module):
    """Embedding to `width` dimensions and a softmax layer over the tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(FEATURES, width)
        self.unembed = nn.Linear(width, FEATURES)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [n, t] to logits [n, t, 12] and the embeddings [n, t, width]."""
        hidden = self.embed(tokens)
        return self.unembed(hidden), hidden


class Autoencoder(nn.Module):
    """x' = ReLU(W'W x + b), the toy model of superposition of Elhage et al. 2022."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(width, FEATURES)))
        self.bias = nn.Parameter(torch.zeros(FEATURES))

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Features [n, 12] to their reconstruction [n, 12] and the hidden layer [n, width]."""
        hidden = values @ self.weight.T
        return functional.relu(hidden @ self.weight + self.bias), hidden


def _norm(config: TransformerConfig) -> nn.Module:
    return nn.RMSNorm(config.width) if config.norm == "rms" else nn.LayerNorm(config.width)
