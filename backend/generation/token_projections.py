"""How far each token of given texts moves one head along a direction: what a page shades tokens by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hormesis.backend.generation.batching import encode, keep_tail, pad
from hormesis.backend.generation.streaming import Pieces
from hormesis.backend.model.directions import HeadDirection
from hormesis.backend.model.steering import SteeringError

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

TokenPiece = tuple[str, float]
"""The text that a token completes (may be empty), and the head's projection there in sigmas."""


def token_projections(
    loaded: LoadedModel, texts: Sequence[str], direction: HeadDirection
) -> list[list[TokenPiece]]:
    """Every token of each text with `x @ vector / sigma`, x being the head's output at that token.

    The pieces of a text joined are the text, save for special tokens and for what is cut from the left of a
    text that is longer than the model's context. Raises SteeringError for a head that the model has not.
    """
    if not texts:
        return []
    rows = encode(loaded, texts)
    if loaded.context is not None:
        rows = [keep_tail(ids, loaded.context, loaded.tokenizer.bos_token_id) for ids in rows]
    input_ids, mask = pad(rows, "right", loaded.pad_id, device=loaded.device)
    values = _projections(loaded, input_ids, mask, direction)
    return [
        _pieces(loaded, ids, of_text[: len(ids)].tolist()) for ids, of_text in zip(rows, values, strict=True)
    ]


def _projections(
    loaded: LoadedModel, input_ids: torch.Tensor, mask: torch.Tensor, direction: HeadDirection
) -> torch.Tensor:
    """Projections [texts, tokens] of one pass, float32 on the CPU."""
    site = next((site for site in loaded.sites if site.layer == direction.layer), None)
    if site is None or not 0 <= direction.head < site.n_heads or direction.vector.shape != (site.head_dim,):
        raise SteeringError(f"the direction of head {direction.head}, layer {direction.layer} does not fit")
    start = direction.head * site.head_dim
    vector = torch.from_numpy(direction.vector).float().to(loaded.device) / max(direction.sigma, 1e-12)
    read: list[torch.Tensor] = []

    def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
        read.append(args[0][..., start : start + site.head_dim].float() @ vector)

    with torch.inference_mode(), loaded.hooked({direction.layer: hook}):
        loaded.model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False)
    return read[0].cpu()


def _pieces(loaded: LoadedModel, ids: Sequence[int], values: Sequence[float]) -> list[TokenPiece]:
    """Tokens as pieces of text; what an unfinished character holds back comes with the last one."""
    pieces = Pieces(loaded.tokenizer)
    tokens = [(pieces.add(token), value) for token, value in zip(ids, values, strict=True)]
    rest = pieces.rest()
    if rest and tokens:
        tokens[-1] = (tokens[-1][0] + rest, tokens[-1][1])
    return tokens
