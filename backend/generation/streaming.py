"""Token streaming: one decode pass for several rows, base and steered side by side, told token by token.

With incremental detokenisation that never breaks a character, and heads' projections on their directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hormesis.backend.generation.batching import text_of
from hormesis.backend.generation.decoding import decode
from hormesis.backend.generation.generation import Continuation, check_settings, encode_behind, finish
from hormesis.backend.model.steering import HeadDirection, RowSteering, SteeringError

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel, ProjectionHook

StreamRow = tuple[str, RowSteering, int]
"""Prompt, steering and seed of one row."""
OnToken = Callable[[int, int, str], None]
"""Called with row, token id and the text that this token completes (may be empty)."""
OnProjection = Callable[[int, float], None]
"""Called with row and mean projection, just before the row's `OnToken`."""
BROKEN = "\N{REPLACEMENT CHARACTER}"


class Pieces:
    """Turns one row's tokens into pieces of text, holding back bytes of an unfinished character.

    The pieces joined, `rest()` included, are exactly the decoded text of all tokens. Method of the
    incremental detokenisers of text-generation-inference: decode a short window with and without the new
    tokens.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self.start = 0
        """Beginning of the window that is decoded, so that a token sees its left neighbour."""
        self.n_emitted = 0
        """Tokens whose text has been given out."""

    def add(self, token: int) -> str:
        """Take one token; returns the text that is now complete."""
        self.ids.append(token)
        new = self._new()
        if not new or new.endswith(BROKEN):
            return ""
        self.start, self.n_emitted = self.n_emitted, len(self.ids)
        return new

    def rest(self) -> str:
        """Text held back at the end, broken characters and all."""
        new = self._new()
        self.start = self.n_emitted = len(self.ids)
        return new

    def _new(self) -> str:
        emitted = text_of(self.tokenizer, self.ids[self.start : self.n_emitted])
        return text_of(self.tokenizer, self.ids[self.start :])[len(emitted) :]


def stream(
    loaded: LoadedModel,
    rows: Sequence[StreamRow],
    on_token: OnToken,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 0.9,
    head_directions: Sequence[HeadDirection] | None = None,
    on_projection: OnProjection | None = None,
    prefixes: Sequence[str] | None = None,
) -> list[Continuation]:
    """Continue all rows in one decode pass and tell every token as it comes; returns the whole continuations.

    Each row ends at its own end token (which is not told); `should_stop` is asked after every step. Text held
    back because a character is unfinished comes with the token that completes it, and at the end of the row
    as one more call with the row's last token id. With `head_directions` and `on_projection`, each token
    comes with the mean over heads of `x @ vector / sigma`, x being the head's output at the state the token
    was drawn from, before that site's own shift: what the model was about to say, in sigmas. prefixes: for
    each row a text in front of its prompt, which stays when the prompt's beginning is cut off (as
    `generate`'s `prefix`).

    A row with strength 0 is bit-identical to the bare model run on the same batch. Raises what `generate`
    raises.
    """
    seeds = [seed for _, _, seed in rows]
    check_settings(len(rows), seeds, new_tokens=new_tokens, temperature=temperature, top_p=top_p)
    if not rows:
        return []
    token_ids, truncated = _token_ids(
        loaded, [prompt for prompt, _, _ in rows], prefixes, new_tokens=new_tokens
    )
    pieces = [Pieces(loaded.tokenizer) for _ in rows]
    is_ended = [False] * len(rows)
    reader = _ProjectionReader(loaded, head_directions) if head_directions and on_projection else None

    def on_step(new: NDArray[np.int64]) -> bool:
        values = reader.read() if reader else None
        for row, token in enumerate(new.tolist()):
            if is_ended[row]:
                continue
            if token in loaded.eos_ids:
                is_ended[row] = True
                _flush(row, pieces[row], on_token)
                continue
            if values is not None and on_projection is not None:
                on_projection(row, float(values[row]))
            on_token(row, token, pieces[row].add(token))
        return all(is_ended) or should_stop()

    with loaded.hooked(reader.hooks if reader else {}):
        decode(
            loaded,
            token_ids,
            [steering for _, steering, _ in rows],
            seeds=seeds,
            new_tokens=new_tokens,
            temperature=temperature,
            top_p=top_p,
            on_step=on_step,
        )
    for row, is_over in enumerate(is_ended):
        if not is_over:
            _flush(row, pieces[row], on_token)
    return [
        finish(
            loaded,
            row_pieces.ids,
            ended=is_ended[row],
            truncated=truncated[row],
            prompt_tokens=len(token_ids[row]),
        )
        for row, row_pieces in enumerate(pieces)
    ]


def _token_ids(
    loaded: LoadedModel, prompts: Sequence[str], prefixes: Sequence[str] | None, *, new_tokens: int
) -> tuple[list[list[int]], list[bool]]:
    """Token ids of each prompt behind its prefix, cut where they leave no room, and which were cut."""
    token_ids, truncated = list[list[int]](), list[bool]()
    for prompt, prefix in zip(prompts, prefixes or [""] * len(prompts), strict=True):
        ids, is_cut = encode_behind(loaded, [prompt], prefix, new_tokens=new_tokens)
        token_ids += ids
        truncated += is_cut
    return token_ids, truncated


def _flush(row: int, pieces: Pieces, on_token: OnToken) -> None:
    if text := pieces.rest():
        on_token(row, pieces.ids[-1], text)


class _ProjectionReader:
    """Mean projection of the chosen heads at the last position of every pass, in sigmas.

    Weights are by layer, `(n_heads * head_dim,)`: a head's direction over sigma and the number of heads.
    """

    def __init__(self, loaded: LoadedModel, head_directions: Sequence[HeadDirection]) -> None:
        self.total: torch.Tensor | None = None
        weights: dict[int, torch.Tensor] = {}
        sites = {site.layer: site for site in loaded.sites}
        for head in head_directions:
            site = sites.get(head.layer)
            if site is None or not 0 <= head.head < site.n_heads or head.vector.shape != (site.head_dim,):
                raise SteeringError(f"the direction of head {head.head}, layer {head.layer} does not fit")
            weight = weights.setdefault(head.layer, torch.zeros(site.width))
            start = head.head * site.head_dim
            scale = 1.0 / (max(head.sigma, 1e-12) * len(head_directions))
            weight[start : start + site.head_dim] = torch.from_numpy(head.vector).float() * scale
        lowest = min(weights)
        self.hooks = {
            layer: self._hook(weight.to(loaded.device), layer == lowest) for layer, weight in weights.items()
        }

    def _hook(self, weight: torch.Tensor, is_first: bool) -> ProjectionHook:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            value = args[0][:, -1].float() @ weight
            # A pass whose reading nobody asked for (the shared prompt) is overwritten by the next.
            self.total = value if is_first or self.total is None else self.total + value

        return hook

    def read(self) -> NDArray[np.float32]:
        """Projection of each row in the pass just made, float32 `(rows,)`."""
        total, self.total = self.total, None
        if total is None:
            raise RuntimeError("no pass was made")
        values: NDArray[np.float32] = total.cpu().numpy()
        return values
