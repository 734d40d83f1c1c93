"""What each setting trains on and what is read from a trained network: one class per kind of data.

A task names a module, makes its batches, its training loss, the loss and accuracy of each of the 12 features,
and the labelled activations that directions are taken from. Everything but `batches` is about one model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hormesis.pipeline.toy import chains
from hormesis.pipeline.toy.chains import FEATURES
from hormesis.pipeline.toy.config import AutoencoderConfig, BottleneckConfig, ToyConfig, TransformerConfig
from hormesis.pipeline.toy.networks import Autoencoder, Bottleneck, Transformer

Call = Callable[[Tensor], tuple[Tensor, Tensor]]
"""One model, as a function of its input."""


@dataclass(frozen=True)
class Run:
    """One model to be trained."""

    share: float
    seed: int


class Task(Protocol):
    """What training and measuring need to know of a setting."""

    labels: NDArray[np.int64]
    """Feature of each point, [points]."""
    dimensions: int
    """Dimensions in which directions can differ."""

    def build(self) -> nn.Module:
        """A fresh module; its weights come from torch's current generator."""

    def batches(self, runs: Sequence[Run], block: int) -> Callable[[int], Tensor]:
        """Batches of steps block * BLOCK and on: a function of the step within the block, to [runs, ...]."""

    def objective(self, model: Call, batch: Tensor) -> Tensor:
        """Training loss of one model on one batch."""

    def score(self, model: Call) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of each feature, both [12]."""

    def points(self, model: Call) -> Tensor:
        """Activations [points, width]."""


class SequenceTask:
    """Next-token prediction on the 12 sequences, weighted by how often each was drawn.

    Cross-entropy of the counted sequences is exactly that of the drawn batch, at 12 sequences' cost. Losses
    are nats per token; accuracy and activations are taken where the tokens read so far settle the chain.
    """

    def __init__(self, config: TransformerConfig | BottleneckConfig) -> None:
        """Tokens, targets and where the chain is settled: [12, length]; `labels` [points], settled ones."""
        self._config = config
        self._shared = config.setting == "literal"
        length = config.length if isinstance(config, TransformerConfig) else 1
        sequences = chains.sequences(length, shared=self._shared)
        self._tokens = torch.from_numpy(sequences[:, :-1].copy())
        self._targets = torch.from_numpy(sequences[:, 1:]).contiguous()
        is_settled = chains.informed(sequences)
        self._is_settled = torch.from_numpy(is_settled)
        self.labels = chains.features_of(sequences, shared=self._shared)[is_settled]
        has_layer_norm = isinstance(config, TransformerConfig) and config.norm == "layer"
        self.dimensions = config.width - int(has_layer_norm)
        self._noise = config.label_noise if isinstance(config, TransformerConfig) else 0.0

    def build(self) -> nn.Module:
        """The transformer, or the softmax bottleneck."""
        if isinstance(self._config, TransformerConfig):
            return Transformer(self._config, chains.STATES if self._shared else FEATURES)
        return Bottleneck(self._config.width)

    def batches(self, runs: Sequence[Run], block: int) -> Callable[[int], Tensor]:
        """Weights of the 12 sequences at each step of a block of steps, [runs, 12]."""
        batch_size = self._config.batch
        if batch_size == 0:
            exact = _numbers(np.stack([chains.mixture(run.share) for run in runs]))
            return lambda step: exact
        uniforms = {
            seed: chains.uniforms(seed, 0, block, shape=(batch_size,)) for seed in {run.seed for run in runs}
        }
        weights = np.stack([chains.counts(uniforms[run.seed], run.share) for run in runs], axis=1)
        weights_of_step = _numbers(weights)
        return lambda step: weights_of_step[step]

    def _losses(self, logits: Tensor) -> Tensor:
        chances = functional.log_softmax(logits, dim=-1)
        losses = -chances.gather(-1, self._targets.unsqueeze(-1)).squeeze(-1)
        return (1 - self._noise) * losses - self._noise * chances.mean(dim=-1) if self._noise else losses

    def objective(self, model: Call, batch: Tensor) -> Tensor:
        """Mean cross-entropy per token of the drawn sequences."""
        return batch @ self._losses(model(self._tokens)[0]).mean(dim=-1)

    def score(self, model: Call) -> tuple[Tensor, Tensor]:
        """Cross-entropy (nats per token) and accuracy of each sequence, where its chain is known."""
        logits, _ = model(self._tokens)
        weight = self._is_settled / self._is_settled.sum(dim=-1, keepdim=True)
        hits = (logits.argmax(dim=-1) == self._targets).float()
        return (self._losses(logits) * weight).sum(dim=-1), (hits * weight).sum(dim=-1)

    def points(self, model: Call) -> Tensor:
        """The last block's stream where the chain is known; less its mean where LayerNorm drops that."""
        stream = model(self._tokens)[1].reshape(-1, self._config.width)
        activations = stream[self._is_settled.reshape(-1).nonzero().squeeze(-1)]
        if self.dimensions < self._config.width:
            activations = activations - activations.mean(dim=-1, keepdim=True)
        return activations


class FeatureTask:
    """Sparse features to be rebuilt: each active on its own with the probability of its group."""

    def __init__(self, config: AutoencoderConfig) -> None:
        self._config = config
        self._alone = torch.eye(FEATURES)
        self.labels = np.arange(FEATURES)
        self.dimensions = config.width

    def build(self) -> nn.Module:
        """The autoencoder."""
        return Autoencoder(self._config.width)

    def batches(self, runs: Sequence[Run], block: int) -> Callable[[int], Tensor]:
        """Feature values in [0, 1), 0 where not active: [runs, batch, 12]."""
        seeds = sorted({run.seed for run in runs})
        shape = (self._config.batch, FEATURES)
        gates, value = (
            _numbers(np.stack([chains.uniforms(seed, use, block, shape=shape) for seed in seeds]))
            for use in (1, 2)
        )
        place = torch.tensor([seeds.index(run.seed) for run in runs])
        rates = np.stack([np.where(chains.RARE, run.share, 1.0) for run in runs]) * self._config.density
        thresholds = _numbers(rates)[:, None]

        def batch(step: int) -> Tensor:
            return value[place, step] * (gates[place, step] < thresholds)

        return batch

    def objective(self, model: Call, batch: Tensor) -> Tensor:
        """Squared error summed over features, mean over examples."""
        return (model(batch)[0] - batch).square().sum(dim=-1).mean()

    def score(self, model: Call) -> tuple[Tensor, Tensor]:
        """Of each feature alone at value 1: squared error, and whether it comes back as the largest."""
        back, _ = model(self._alone)
        best = (back.argmax(dim=-1) == torch.arange(FEATURES)) & (back.amax(dim=-1) > 0)
        return (back - self._alone).square().sum(dim=-1), best.float()

    def points(self, model: Call) -> Tensor:
        """The hidden layer of each feature alone: the columns of W, [12, width]."""
        return model(self._alone)[1]


def _numbers(values: NDArray[np.float64]) -> Tensor:
    """A tensor of torch's default precision, which the weights have too."""
    return torch.from_numpy(values).to(torch.get_default_dtype())


def task_of(config: ToyConfig) -> Task:
    """The task of a configuration."""
    if isinstance(config, AutoencoderConfig):
        return FeatureTask(config)
    return SequenceTask(config)
