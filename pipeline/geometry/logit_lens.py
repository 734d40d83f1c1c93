"""Which tokens a head's direction raises and lowers when it is read straight through the unembedding.

The logit lens (nostalgebraist 2020), as used for toxicity directions by Lee et al. 2024: direction in the
head, times the head's slice of the output projection, then the final norm, then the unembedding. How norms
are treated: a norm's scaling by the size of the whole residual stream is left out, for a direction has no
residual stream of its own; its mean is taken off where the norm takes it off, and it is multiplied by the
norm's weight. Families that norm the attention output before adding it (Olmo2, Olmo3, Gemma) get that
norm's weight as well. Later layers are skipped, so this says where a direction points, not what a model says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.residual import decoder_layer
from hormesis.backend.model.sites import Site, output_weight

Floats = NDArray[np.float32]
FINAL_NORMS = (
    "norm",
    "ln_f",
    "final_layer_norm",
    "final_layernorm",
    "embedding_norm",
    "norm_f",
    "layer_norm",
)
_NORMS: WeakKeyDictionary[LoadedModel, dict[int, nn.Module]] = WeakKeyDictionary()
_AT_ONCE = 64  # directions decoded together; bounds memory to 64 x vocabulary


class LensError(ValueError):
    """A model whose directions cannot be read through its unembedding; one line for the person."""


@dataclass(frozen=True)
class Token:
    """`logit`: change against the mean token; `reference`: one value per named reference, at this rank."""

    side: Literal["top", "bottom"]
    rank: int
    token_id: int
    token: str
    logit: float
    reference: dict[str, float]


def residual_vectors(loaded: LoadedModel, layer: int, head: int, *, vectors: Floats) -> torch.Tensor:
    """What vectors [n, head_dim] of a head add to the residual stream, [n, hidden size].

    Through the head's part of the output projection and the weight of the norm that some families put behind
    it. Raises LensError where the model has no such head.
    """
    site = loaded.site(layer)
    if site is None or not 0 <= head < site.n_heads:
        raise LensError(f"the model has no head {head} in layer {layer}")
    weight = output_weight(loaded.model.get_submodule(site.module)).float()
    columns = slice(head * site.head_dim, (head + 1) * site.head_dim)
    with torch.inference_mode():
        directions = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).to(weight.device)
        stream = directions @ weight[:, columns].T
        norm = norm_after_attention(loaded, layer)
        return stream if norm is None else _scaled(norm, stream)


def logits_of(
    loaded: LoadedModel, stream: torch.Tensor, token_ids: Sequence[int] | None = None
) -> torch.Tensor:
    """Logits [n, vocabulary], or of some tokens, of residual vectors, each less its mean over all tokens.

    Raises LensError where the model has no final norm that is known, or no unembedding.
    """
    unembedding = loaded.model.get_output_embeddings()
    if unembedding is None:
        raise LensError(f"{loaded.architecture} has no unembedding to read a direction through")
    with torch.inference_mode():
        normed, weight = _scaled(_final_norm(loaded), stream), unembedding.weight
        rows = weight if token_ids is None else weight[list(token_ids)]
        # The mean of the logits is the logit of the mean row.
        mean = normed @ weight.mean(dim=0, dtype=torch.float32)
        logits: torch.Tensor = normed @ rows.float().T - mean[:, None]
        return logits


def decode(loaded: LoadedModel, layer: int, head: int, *, vectors: Floats) -> torch.Tensor:
    """Logits [directions, vocabulary] of vectors [directions, head_dim], each less its mean over tokens.

    In the units of the vectors. Raises LensError where the model has no such head, no final norm that is
    known, or no unembedding.
    """
    return logits_of(loaded, residual_vectors(loaded, layer, head, vectors=vectors))


def tokens(
    loaded: LoadedModel,
    layer: int,
    head: int,
    *,
    vector: Floats,
    references: dict[str, Floats],
    count: int = 12,
) -> list[Token]:
    """The `count` tokens that `vector` [head_dim] raises most, and the `count` it lowers most.

    `references` name sets of directions [directions, head_dim]; beside each token stands the value that 5 %
    of them pass at the same rank (for lowered tokens: fall below).
    """
    logits = decode(loaded, layer, head, vectors=vector[None])[0]
    count = min(count, len(logits) // 2)
    quantiles_of = {
        name: _ends(loaded, layer, head, vectors=vectors, count=count) for name, vectors in references.items()
    }
    entries = []
    for end, (side, signed) in enumerate((("top", logits), ("bottom", -logits))):
        values, ids = torch.topk(signed, count)
        pieces = loaded.tokenizer.convert_ids_to_tokens(ids.tolist())
        for rank, (value, token_id, piece) in enumerate(
            zip(values.tolist(), ids.tolist(), pieces, strict=True)
        ):
            sign = 1 if side == "top" else -1
            entries.append(
                Token(
                    side="top" if side == "top" else "bottom",
                    rank=rank + 1,
                    token_id=token_id,
                    token=_readable(loaded, token_id, piece),
                    logit=sign * value,
                    reference={
                        name: sign * float(quantiles[end, rank]) for name, quantiles in quantiles_of.items()
                    },
                )
            )
    return entries


def _ends(loaded: LoadedModel, layer: int, head: int, *, vectors: Floats, count: int) -> Floats:
    """95th percentile over `vectors` [directions, head_dim] of the largest logits and negated: [2, count]."""
    largest: list[Floats] = []
    smallest: list[Floats] = []
    for start in range(0, len(vectors), _AT_ONCE):
        logits = decode(loaded, layer, head, vectors=vectors[start : start + _AT_ONCE])
        largest.append(torch.topk(logits, count).values.cpu().numpy())
        smallest.append(torch.topk(-logits, count).values.cpu().numpy())
    sides = [np.concatenate(largest), np.concatenate(smallest)]
    return np.asarray(np.quantile(np.stack(sides), 0.95, axis=1), dtype=np.float32)


def _readable(loaded: LoadedModel, token_id: int, raw: Any) -> str:
    """The token as text; as the tokenizer writes it where it is no text of its own (part of a character)."""
    text = str(loaded.tokenizer.decode([token_id]))
    return text if text.strip() and "\ufffd" not in text else str(raw)


def _final_norm(loaded: LoadedModel) -> Any:
    """The module that norms the last residual stream, under one of its usual names."""
    base = loaded.model.base_model
    for owner in (base, getattr(base, "decoder", None), getattr(base, "language_model", None)):
        for name in FINAL_NORMS:
            norm = getattr(owner, name, None)
            if norm is not None:
                return norm
    raise LensError(f"{loaded.architecture}: its final norm was not found")


def norm_after_attention(loaded: LoadedModel, layer: int) -> nn.Module | None:
    """The norm that some families put between the attention and the residual stream; None in the others."""
    if loaded not in _NORMS:
        _NORMS[loaded] = _norms_after_attention(loaded)
    return _NORMS[loaded].get(layer)


def _norms_after_attention(loaded: LoadedModel) -> dict[int, nn.Module]:
    """By layer, the norm that is handed what the projection gives.

    Families share no name for it, so it is watched while one token is read.
    """
    outputs: dict[int, torch.Tensor] = {}
    norms: dict[int, nn.Module] = {}

    def keep(site: Site) -> Callable[..., None]:
        return lambda _, __, output: outputs.update({site.layer: output})

    def compare(site: Site) -> Callable[..., None]:
        def hook(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
            output = outputs.get(site.layer)
            if inputs and output is not None and torch.equal(inputs[0], output):
                norms[site.layer] = norm

        return hook

    handles = []
    try:
        for site in loaded.sites:
            projection = loaded.model.get_submodule(site.module)
            handles.append(projection.register_forward_hook(keep(site)))
            for module in decoder_layer(loaded, site.layer).modules():
                if "norm" in type(module).__name__.lower():
                    handles.append(module.register_forward_pre_hook(compare(site)))
        with torch.inference_mode():
            loaded.model(torch.tensor([[loaded.blank_id]], device=loaded.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return norms


def _scaled(norm: Any, stream: torch.Tensor) -> torch.Tensor:
    """A direction through a norm, without its division by the size of the stream.

    What the norm multiplies by is asked of itself (families add 1 to the weight or do not), by a vector that
    has no mean and is long enough for the norm's epsilon not to count.
    """
    if "RMS" not in type(norm).__name__:  # a layer norm takes the mean off
        stream = stream - stream.mean(dim=1, keepdim=True)
    signs = 1.0 - 2.0 * (torch.arange(stream.shape[1], device=stream.device) % 2)
    dtype = next((weight.dtype for weight in norm.parameters()), stream.dtype)
    ends = torch.stack([1024 * signs, -1024 * signs])[None].to(dtype)
    up, down = norm(ends)[0].float()
    gain: torch.Tensor = (up - down) / 2 * signs
    return stream * gain
