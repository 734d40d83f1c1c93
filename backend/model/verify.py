"""Verification at load: causal, steered by hook as by bias, and in a batch as alone.

Several ways to the same logits on a random input. A family whose attention bypasses the module we hook, whose
module is not the linear map we take it for, or whose cache or state does not heed padding, fails here rather
than in a study.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hormesis.backend.model.feed import Feed
from hormesis.backend.model.sites import ModelError, output_weight
from hormesis.backend.model.steering import Intervention, steered

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

TOLERANCE = 1e-4
"""In float32: largest allowed difference of logits, as a fraction of the largest logit (at least 1). Rounding
alone gives 4e-6 in SmolLM2, whose 30 layers are few; a mistake at one of them 1e-2 or more."""
BATCH_TOLERANCE = 1e-3
"""In float32: root mean square of the difference, as a fraction of that of logits between positions."""
HALF_TOLERANCE = 0.25
"""In 16 bits, for both: root mean square of the difference, as a fraction of the effect's own."""
TOKENS = 8
PADDING, PROMPT = 3, 6
"""Tokens that the second row of a batch lacks; columns that are read before the cache is used."""


@dataclass(frozen=True)
class Proof:
    """Differences that were judged, as fractions; what of and how much is allowed is in `prove`."""

    steering: float
    """Hook against bias."""
    batch: float
    """Rows read with padding, a cache and a shared beginning against rows read alone."""


def prove(loaded: LoadedModel) -> Proof:
    """Check causality, hook-equals-bias and batch-equals-single on random tokens.

    Each site is shifted by random numbers of standard deviation 0.1. Raises ModelError where the model sees
    the future, steering changes nothing, hook and bias differ, or a batch and its rows alone differ. Hook and
    bias in float32 by more than 1e-4 of the largest logit; a batch by more than 1e-3 of how much logits vary
    between positions. In 16 bits, where rounding alone moves single logits by percents, either by more than a
    quarter of the effect (root mean squares over all logits; a mistake gives about 1 or more).
    """
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(0, loaded.vocabulary_size, (2, TOKENS))).to(loaded.device)
    shifts = {site.layer: rng.normal(0, 0.1, site.width).astype(np.float32) for site in loaded.sites}
    with torch.inference_mode():
        plain = _logits(loaded, ids)
        if not bool(torch.isfinite(plain).all()):
            raise ModelError(f"{loaded.source}: the model gives numbers that are not finite")
        _prove_causal(loaded, ids, plain)
        return Proof(_prove_steering(loaded, ids, plain, shifts=shifts), _prove_batch(loaded, ids, plain))


def _prove_steering(
    loaded: LoadedModel, ids: torch.Tensor, plain: torch.Tensor, *, shifts: dict[int, Any]
) -> float:
    """The difference between steering by hook and by bias; `shifts` by layer, float32 `(width,)`."""
    with steered(loaded, (Intervention(shifts, len(loaded.heads), "all"), 1.0)):
        by_hook = _logits(loaded, ids)
    by_bias = _with_bias(loaded, ids, shifts)
    if float((by_hook - plain).abs().max()) == 0.0:
        raise ModelError(f"{loaded.source}: steering its heads changes nothing; not supported")
    exact = loaded.dtype is torch.float32
    difference = (
        _largest(by_hook - by_bias, by_bias) if exact else _typical(by_hook - by_bias, by_bias - plain)
    )
    if not difference <= (TOLERANCE if exact else HALF_TOLERANCE):
        raise ModelError(f"{loaded.source}: steering by hook and by bias differ by {difference:.1e}")
    return difference


def _prove_batch(loaded: LoadedModel, ids: torch.Tensor, plain: torch.Tensor) -> float:
    """The difference between rows read as generation reads them and the same rows alone, without a cache.

    `plain`: logits of `ids` `(2, tokens)`. Padded: the second row lacks its first tokens, and both go on from
    their cache. Shared: the first row's beginning is read once for two rows, which go on apart.
    """
    mask = torch.ones_like(ids[:, :PROMPT])
    mask[1, :PADDING] = 0
    padded = torch.where(
        torch.nn.functional.pad(mask, (0, TOKENS - PROMPT), value=1) == 1, ids, loaded.pad_id
    )
    alone = torch.cat([plain[:1, PADDING:], _logits(loaded, ids[1:, PADDING:])])
    differences = [_fed(Feed(loaded, mask, TOKENS), padded, PROMPT) - alone[:, PROMPT - PADDING - 1 :]]
    pair = ids.clone()
    pair[1, :PROMPT] = ids[0, :PROMPT]
    feed = Feed(loaded, torch.ones_like(mask[:1]), TOKENS)
    feed(pair[:1, : PROMPT - 1])
    feed.branch(torch.zeros(2, dtype=torch.long, device=ids.device))
    differences.append(_fed(feed, pair[:, PROMPT - 1 :], 1) - _logits(loaded, pair)[:, PROMPT - 1 :])
    variation = plain - plain.mean(1, keepdim=True)
    difference = max(_typical(difference, variation) for difference in differences)
    if not difference <= (BATCH_TOLERANCE if loaded.dtype is torch.float32 else HALF_TOLERANCE):
        raise ModelError(
            f"{loaded.source}: texts read in a batch (padding, cache) differ from texts read alone by "
            f"{difference:.1e}; not supported"
        )
    return difference


def _fed(feed: Feed, ids: torch.Tensor, first: int) -> torch.Tensor:
    """Logits `(rows, passes, vocabulary)` after the first `first` columns of `ids`, then one by one."""
    passes = [ids[:, :first], *(ids[:, column : column + 1] for column in range(first, ids.shape[1]))]
    return torch.stack([feed(columns).float() for columns in passes], 1)


def _largest(difference: torch.Tensor, logits: torch.Tensor) -> float:
    return float(difference.abs().max()) / max(1.0, float(logits.abs().max()))


def _typical(difference: torch.Tensor, effect: torch.Tensor) -> float:
    return float(difference.square().mean().sqrt() / effect.square().mean().sqrt())


def _logits(loaded: LoadedModel, ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = loaded.model(input_ids=ids, use_cache=False).logits
    return logits.float()


def _prove_causal(loaded: LoadedModel, ids: torch.Tensor, plain: torch.Tensor) -> None:
    """Change the last of `ids` `(rows, tokens)`: logits before it must stay as `plain`, those of `ids`."""
    variant = ids.clone()
    variant[:, -1] = (variant[:, -1] + 1) % loaded.vocabulary_size
    difference = _logits(loaded, variant) - plain
    earlier, last = difference[:, :-1], difference[:, -1]
    # Nothing before the changed token may move; a rounding's worth is allowed.
    tolerance = 1e-5 if loaded.dtype is torch.float32 else 1e-2
    if not float(earlier.square().mean().sqrt()) <= tolerance * float(last.square().mean().sqrt()):
        raise ModelError(f"{loaded.source} is not a causal language model: it reads the tokens that follow")


def _with_bias(loaded: LoadedModel, ids: torch.Tensor, shifts: dict[int, Any]) -> torch.Tensor:
    """Logits of `ids` with `W_o @ shift` added after each projection, computed apart from the steering code.

    shifts: by layer, float32 `(n_heads * head_dim,)`.
    """

    def adder(bias: torch.Tensor) -> Any:
        def add(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
            return output + bias

        return add

    handles = []
    try:
        for site in loaded.sites:
            module = loaded.model.get_submodule(site.module)
            weight = output_weight(module)
            shift = torch.from_numpy(shifts[site.layer]).to(loaded.device, loaded.dtype)
            bias = (weight.float() @ shift.float()).to(loaded.dtype)
            handles.append(module.register_forward_hook(adder(bias)))
        return _logits(loaded, ids)
    finally:
        for handle in handles:
            handle.remove()
