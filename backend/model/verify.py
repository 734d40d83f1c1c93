"""Verification at load: the model is causal, and steering it by hook equals steering it by bias.

Two ways to the same logits on a random input. A family whose attention bypasses the module we
hook, or whose module is not the linear map we take it for, fails here rather than in a study.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hormesis.backend.model.sites import ModelError, output_weight
from hormesis.backend.model.steering import Intervention, steered

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

TOLERANCE = 1e-5
"""In float32: largest allowed difference of logits, as a fraction of the largest logit (at least 1)."""
HALF_TOLERANCE = 0.25
"""In 16 bits: root mean square of the difference, as a fraction of that of the steering's own effect."""
TOKENS = 8


def prove(loaded: LoadedModel) -> float:
    """Check causality and hook-equals-bias on random tokens.

    Each site is shifted by random numbers of standard deviation 0.1. Returns the difference that was judged.
    Raises ModelError where the model sees the future, steering changes nothing, or hook and bias differ: by
    more than 1e-5 of the largest logit in float32; in 16 bits, where rounding alone moves single logits by
    percents, by more than a quarter of the steering's effect (root mean squares over all logits; a wrong hook
    gives about 1 or more).
    """
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(0, loaded.vocabulary_size, (2, TOKENS))).to(loaded.device)
    shifts = {site.layer: rng.normal(0, 0.1, site.width).astype(np.float32) for site in loaded.sites}
    with torch.inference_mode():
        plain = _logits(loaded, ids)
        _prove_causal(loaded, ids, plain)
        with steered(loaded, (Intervention(shifts, loaded.n_heads * loaded.n_layers, "all"), 1.0)):
            by_hook = _logits(loaded, ids)
        by_bias = _with_bias(loaded, ids, shifts)
    if not bool(torch.isfinite(plain).all()):
        raise ModelError(f"{loaded.source}: the model gives numbers that are not finite")
    if float((by_hook - plain).abs().max()) == 0.0:
        raise ModelError(f"{loaded.source}: steering its heads changes nothing; not supported")
    exact = loaded.dtype is torch.float32
    difference = (
        _largest(by_hook - by_bias, by_bias) if exact else _typical(by_hook - by_bias, by_bias - plain)
    )
    if not difference <= (TOLERANCE if exact else HALF_TOLERANCE):
        raise ModelError(f"{loaded.source}: steering by hook and by bias differ by {difference:.1e}")
    return difference


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
